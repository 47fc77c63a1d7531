import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openMountPoints } from "./mount-points.ts";

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "mount-points-"))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const mount = (source: string, target: string) => ({ name: "v", source: join(dir, source), target, readOnly: false });

test("what is missing is made, directory or file as its source, and taken away again, also after a restart", () => {
  mkdirSync(join(dir, "volume"));
  writeFileSync(join(dir, "file"), "x");
  openMountPoints(dir).make(mount("volume", join(dir, "a/b/c")));
  openMountPoints(dir).make(mount("file", join(dir, "a/f")));
  expect([statSync(join(dir, "a/b/c")).isDirectory(), statSync(join(dir, "a/f")).isFile()]).toEqual([true, true]);
  openMountPoints(dir).removeUnused();
  expect(existsSync(join(dir, "a"))).toBe(false);
});

test("what was there, or is not empty any more, stays", () => {
  mkdirSync(join(dir, "volume"));
  mkdirSync(join(dir, "there"));
  const points = openMountPoints(dir);
  points.make(mount("volume", join(dir, "there/new")));
  points.make(mount("volume", join(dir, "there")));
  writeFileSync(join(dir, "there/new/f"), "kept");
  points.removeUnused();
  expect(existsSync(join(dir, "there/new/f"))).toBe(true);
});

test("a subPath that is missing becomes a directory, and the root cannot be a mount point", () => {
  const points = openMountPoints(dir);
  points.make(mount("volume/sub", join(dir, "t")));
  expect(statSync(join(dir, "volume/sub")).isDirectory()).toBe(true);
  expect(() => points.make(mount("volume", "/"))).toThrow('mountPath "/" cannot be the root');
});
