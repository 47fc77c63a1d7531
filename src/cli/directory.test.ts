import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { clusterDirectory, makeDirectory, takeDirectory } from "./directory.ts";

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "fairlead-"));
});

afterEach(() => rm(dir, { recursive: true }));

it("makes the directory with its parents, for its owner only, and again", async () => {
  const directory = clusterDirectory(join(dir, "a", "b"));
  await makeDirectory(directory);
  await makeDirectory(directory);
  expect((await stat(directory.root)).mode & 0o777).toBe(0o700);
});

it("refuses what is no directory, and says what to do", async () => {
  const path = join(dir, "file");
  await writeFile(path, "");
  await expect(makeDirectory(clusterDirectory(path))).rejects.toMatchObject({
    code: "BAD_FILE",
    remedy: "choose another with --dir",
  });
  await expect(makeDirectory(clusterDirectory(join(path, "below")))).rejects.toMatchObject({ code: "BAD_FILE" });
  await expect(makeDirectory(clusterDirectory("/proc/none"))).rejects.toMatchObject({ code: "BAD_FILE" });
});

it("is taken once", async () => {
  const directory = clusterDirectory(dir);
  const giveBack = await takeDirectory(directory);
  await expect(takeDirectory(directory)).rejects.toMatchObject({ code: "ALREADY_RUNNING" });
  await giveBack();
  await (
    await takeDirectory(directory)
  )();
});
