import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createLogWriter } from "./log-writer.ts";

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "log-writer-"))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const at = Date.UTC(2030, 0, 1, 2, 3, 4, 56);
const stamp = "2030-01-01T02:03:04.056000000Z";

test("lines are whole, whatever chunks they come in, each stream for itself", () => {
  const path = join(dir, "0.log");
  const log = createLogWriter(path, () => at);
  log.write("stdout", Buffer.from("hel"));
  log.write("stderr", Buffer.from("oops\n"));
  log.write("stdout", Buffer.from("lo\n\nend"));
  log.end();
  expect(readFileSync(path, "utf8")).toBe(
    [`${stamp} stderr F oops`, `${stamp} stdout F hello`, `${stamp} stdout F `, `${stamp} stdout P end`, ""].join("\n"),
  );
});

test("a line longer than 16 KiB is cut into pieces", () => {
  const path = join(dir, "0.log");
  const log = createLogWriter(path, () => at);
  log.write("stdout", Buffer.from(`${"x".repeat(40_000)}\n`));
  log.end();
  const tags = readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => [line.split(" ")[2], (line.split(" ")[3] ?? "").length]);
  expect(tags).toEqual([
    ["P", 16_384],
    ["P", 16_384],
    ["F", 7_232],
  ]);
});

test("a full file is moved aside, and only so many are kept", () => {
  const path = join(dir, "0.log");
  const log = createLogWriter(path, () => at, { maxBytes: 120, maxFiles: 3 });
  for (let i = 0; i < 10; i++) log.write("stdout", Buffer.from(`line ${i} ${"x".repeat(10)}\n`));
  log.end();
  expect(readdirSync(dir).sort()).toEqual(["0.log", "0.log.1", "0.log.2"]);
  const numbers = (name: string): string[] =>
    [...readFileSync(join(dir, name), "utf8").matchAll(/line (\d)/g)].map(([, n]) => n ?? "");
  expect([...numbers("0.log.2"), ...numbers("0.log.1"), ...numbers("0.log")]).toEqual(["4", "5", "6", "7", "8", "9"]);
});

test("output that cannot be written is lost, and nothing else happens", () => {
  const log = createLogWriter(join(dir, "missing", "0.log"), () => at);
  log.write("stdout", Buffer.from("lost\n"));
  log.end();
  expect(existsSync(join(dir, "missing"))).toBe(false);
});
