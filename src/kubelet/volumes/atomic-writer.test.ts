import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { writeAtomically } from "./atomic-writer.ts";

let dir: string;
beforeEach(() => (dir = join(mkdtempSync(join(tmpdir(), "atomic-")), "volume")));
afterEach(() => rmSync(join(dir, ".."), { recursive: true, force: true }));

const payload = (files: Record<string, string>, mode = 0o644) =>
  new Map(Object.entries(files).map(([path, text]) => [path, { data: Buffer.from(text), mode }]));
const read = (path: string): string => readFileSync(join(dir, path), "utf8");

test("files are reached through ..data, with their modes", () => {
  expect(writeAtomically(dir, payload({ "a.conf": "1", "sub/b": "2" }, 0o400))).toBe(true);
  expect([read("a.conf"), read("sub/b")]).toEqual(["1", "2"]);
  expect(readlinkSync(join(dir, "a.conf"))).toBe("..data/a.conf");
  expect(statSync(join(dir, "a.conf")).mode & 0o777).toBe(0o400);
});

test("a change replaces all files at once and leaves nothing of the old", () => {
  writeAtomically(dir, payload({ a: "1", b: "1", "sub/c": "1" }));
  const before = readlinkSync(join(dir, "..data"));
  expect(writeAtomically(dir, payload({ a: "2", d: "2" }))).toBe(true);
  expect(readlinkSync(join(dir, "..data"))).not.toBe(before);
  expect([read("a"), read("d")]).toEqual(["2", "2"]);
  expect(
    readdirSync(dir)
      .filter((name) => !name.startsWith("..2"))
      .sort(),
  ).toEqual(["..data", "a", "d"]);
  expect(readdirSync(dir).filter((name) => name.startsWith("..2"))).toHaveLength(1);
});

test("the same content is not written again", () => {
  writeAtomically(dir, payload({ a: "1" }));
  const before = readlinkSync(join(dir, "..data"));
  expect(writeAtomically(dir, payload({ a: "1" }))).toBe(false);
  expect(readlinkSync(join(dir, "..data"))).toBe(before);
});

test("an empty volume is an empty directory", () => {
  writeAtomically(dir, payload({}));
  expect(readdirSync(dir).filter((name) => !name.startsWith(".."))).toEqual([]);
});
