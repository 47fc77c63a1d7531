import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nodeLogs } from "./node-logs.ts";

const dir = mkdtempSync(join(tmpdir(), "fairlead-node-logs-"));
const root = join(dir, "log");
beforeAll(() => {
  mkdirSync(join(root, "apt"), { recursive: true });
  writeFileSync(join(root, "a<b>.log"), "hello\n");
  writeFileSync(join(root, "empty"), "");
  writeFileSync(join(dir, "secret"), "s");
  symlinkSync(join(dir, "secret"), join(root, "out"));
  symlinkSync(join(root, "empty"), join(root, "in"));
});
afterAll(() => rmSync(dir, { recursive: true }));

test("a directory is a page of links, with names escaped", async () => {
  const found = await nodeLogs(root, "");
  expect(found).toMatchObject({ kind: "page", html: expect.stringContaining('<a href="apt/">apt/</a>') });
  expect(found).toMatchObject({ html: expect.stringContaining("a&#60;b&#62;.log</a>") });
  expect(await nodeLogs(root, "apt")).toEqual({ kind: "directory" });
});

test.each([
  ["a<b>.log", "hello\n"],
  ["empty", ""],
  ["in", ""],
])("%s is a file", async (path, content) => {
  const found = await nodeLogs(root, path);
  if (found?.kind !== "file") throw new Error("it is not");
  expect(found.size).toBe(content.length);
  expect(await text(found.open())).toBe(content);
});

test.each(["none", "../secret", "apt/../../secret", "out", "a\0b"])("nothing is at %j", async (path) => {
  expect(await nodeLogs(root, path)).toBeUndefined();
});
