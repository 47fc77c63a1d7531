import { mkdtemp, readFile, rm, stat, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openLog, rotateLog } from "./log.ts";

let dir: string;
let path: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "fairlead-"));
  path = join(dir, "fairlead.log");
});

afterEach(() => rm(dir, { recursive: true }));

const lines = async () =>
  (await readFile(path, "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

it("writes everything as JSON, and tells warnings and errors in a line each", async () => {
  const told: string[] = [];
  const log = openLog(path, (line) => told.push(line)).child({ component: "proxy" });
  log.info({ services: 3 }, "served");
  log.warn({ error: new Error("no room\nat all") }, "cannot write");
  log.error({ error: "gone" }, "failed");
  expect(told).toEqual(["proxy: cannot write: no room", "proxy: failed: gone"]);
  expect(await lines()).toMatchObject([
    { component: "proxy", services: 3, msg: "served" },
    { msg: "cannot write", error: expect.stringContaining("log.test.ts") as string },
    { msg: "failed", error: "gone" },
  ]);
});

it("sets a long log aside and goes on in an empty one", async () => {
  const log = openLog(path, () => {});
  log.info({}, "old");
  await rotateLog(path);
  await expect(stat(`${path}.1`)).rejects.toThrow("ENOENT");
  await truncate(path, 30 << 20);
  await rotateLog(path);
  log.info({}, "new");
  expect(await lines()).toMatchObject([{ msg: "new" }]);
  expect((await stat(`${path}.1`)).size).toBe(30 << 20);
});

it("is bounded by itself, and has details only when they are asked for", async () => {
  const log = openLog(path, () => {}, 4);
  log.debug({}, "detail");
  expect(await lines()).toMatchObject([{ msg: "detail" }]);
  await truncate(path, (20 << 20) - 1);
  const again = openLog(path, () => {});
  again.debug({}, "detail");
  expect((await stat(path)).size).toBe((20 << 20) - 1);
  again.info({}, "one line too many");
  expect((await stat(path)).size).toBe(0);
  expect((await stat(`${path}.1`)).size).toBeGreaterThan(20 << 20);
  again.info({}, "new");
  expect(await lines()).toMatchObject([{ msg: "new" }]);
});
