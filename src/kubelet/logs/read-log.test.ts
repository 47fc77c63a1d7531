import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../system/index.ts";
import { createLogWriter } from "../runtime/supervisor/log-writer.ts";
import { readLog, type ReadLogOptions } from "./read-log.ts";

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "read-log-"));
  path = join(dir, "0.log");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function read(options: Partial<ReadLogOptions> = {}): Promise<string> {
  const chunks: Buffer[] = [];
  const usual = { isOpen: async () => false, signal: new AbortController().signal, clock: systemClock };
  for await (const chunk of readLog(path, { ...usual, ...options })) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** Ten lines over three files, a second apart. */
function writeRotated(): void {
  let now = Date.UTC(2030, 0, 1);
  const log = createLogWriter(path, () => now, { maxBytes: 200, maxFiles: 5 });
  for (let i = 0; i < 10; i++) {
    log.write("stdout", Buffer.from(`line ${i}\n`));
    now += 1_000;
  }
  log.end();
}
const lines = (...numbers: number[]): string => numbers.map((i) => `line ${i}\n`).join("");

test("reads over rotated files, oldest first", async () => {
  writeRotated();
  expect(await read()).toBe(lines(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
});

test.each([
  [0, []],
  [1, [9]],
  [3, [7, 8, 9]],
  [8, [2, 3, 4, 5, 6, 7, 8, 9]],
  [50, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
])("tailLines %i counts over files", async (tailLines, expected) => {
  writeRotated();
  expect(await read({ tailLines })).toBe(lines(...expected));
});

test("since, limitBytes and timestamps", async () => {
  writeRotated();
  expect(await read({ since: Date.UTC(2030, 0, 1, 0, 0, 8) })).toBe(lines(8, 9));
  expect(await read({ limitBytes: 10 })).toBe("line 0\nlin");
  expect(await read({ timestamps: true, tailLines: 1 })).toBe("2030-01-01T00:00:09.000000000Z line 9\n");
});

test("pieces of a long line are joined again", async () => {
  const log = createLogWriter(path, () => 0);
  log.write("stdout", Buffer.from(`${"x".repeat(40_000)}\nend\n`));
  log.end();
  expect(await read()).toBe(`${"x".repeat(40_000)}\nend\n`);
});

test("what is no log line is left out, and no file is no log", async () => {
  expect(await read()).toBe("");
  writeFileSync(path, "garbage\n2030-01-01T00:00:00.000000000Z stdout F ok\n2030 half");
  expect(await read()).toBe("ok\n");
});

test("follow reads what comes, over rotations, until the container has ended", async () => {
  let open = true;
  const log = createLogWriter(path, () => 0, { maxBytes: 400, maxFiles: 5 });
  const reading = read({ follow: true, isOpen: async () => open });
  for (let i = 0; i < 40; i++) {
    log.write("stdout", Buffer.from(`line ${i}\n`));
    if (i % 8 === 7) await systemClock.sleep(30);
  }
  log.write("stdout", Buffer.from("last words"));
  log.end();
  open = false;
  const all = Array.from({ length: 40 }, (_, i) => i);
  expect(await reading).toBe(`${lines(...all)}last words`);
});

test("follow ends when the reader goes", async () => {
  appendFileSync(path, "2030-01-01T00:00:00.000000000Z stdout F ok\n");
  const gone = new AbortController();
  const reading = read({ follow: true, isOpen: async () => true, signal: gone.signal });
  setTimeout(() => gone.abort(), 50);
  await expect(reading).rejects.toThrow();
});
