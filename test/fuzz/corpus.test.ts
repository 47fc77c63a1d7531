import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openShelf } from "./corpus.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "shelf-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const sizes = () =>
  readdirSync(join(root, "json"))
    .map((name) => statSync(join(root, "json", name)).size)
    .sort((a, b) => a - b);
const input = (size: number, fill: number) => Buffer.alloc(size, fill);

test("what is kept stays within the bounds, and the largest go first", () => {
  const shelf = openShelf(root, "json", { files: 10, bytes: 1000 });
  for (let i = 0; i < 30; i++) shelf.put(input(10, i));
  expect(sizes()).toHaveLength(10);
  shelf.put(input(950, 1));
  expect(sizes().at(-1)).toBe(10);
  shelf.put(input(500, 2));
  expect(sizes().at(-1)).toBe(500);
});

test("an input is kept once, and what an earlier run has left counts", () => {
  const bounds = { files: 4, bytes: 1000 };
  const first = openShelf(root, "json", bounds);
  for (let i = 0; i < 4; i++) first.put(input(20, i));
  first.put(input(20, 0));
  expect(sizes()).toHaveLength(4);
  openShelf(root, "json", { files: 3, bytes: 1000 });
  expect(sizes()).toHaveLength(2);
  openShelf(root, "json", bounds).put(input(30, 9));
  expect(sizes()).toEqual([20, 20, 30]);
});
