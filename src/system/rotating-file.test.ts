import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openRotatingFile } from "./rotating-file.ts";

let dir: string;
let time: number;
let failures: unknown[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "rotating-"));
  time = Date.parse("2026-01-31T10:20:30Z");
  failures = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const openFile = (more: object = {}) =>
  openRotatingFile({
    path: join(dir, "audit.log"),
    maxBytes: 100,
    maxBackups: 2,
    maxAge: 0,
    now: () => time,
    onFailure: (error) => failures.push(error),
    ...more,
  });
const content = (name = "audit.log") => readFileSync(join(dir, name), "utf8");

it("adds lines in order, for its owner alone", async () => {
  writeFileSync(join(dir, "audit.log"), "before\n", { mode: 0o600 });
  const file = await openFile();
  file.write("a\n");
  file.write("b\n");
  await file.close();
  expect(content()).toBe("before\na\nb\n");
  expect(statSync(join(dir, "audit.log")).mode & 0o777).toBe(0o600);
});

it("is set aside when it is full, and keeps so many", async () => {
  for (let i = 0; i < 5; i++) {
    const file = await openFile();
    file.write(`${String(i).repeat(90)}\n`);
    await file.close();
    time += 1000;
  }
  expect(readdirSync(dir).sort()).toEqual([
    "audit-2026-01-31T10-20-33.000.log",
    "audit-2026-01-31T10-20-34.000.log",
    "audit.log",
  ]);
  expect(content()).toBe(`${"4".repeat(90)}\n`);
});

it("drops what is too old, and nothing that is not its own", async () => {
  for (const name of ["audit-2026-01-01T00-00-00.000.log", "audit-2026-01-30T00-00-00.000.log", "audit-notes.log"])
    writeFileSync(join(dir, name), "x\n");
  const file = await openFile({ maxAge: 7, maxBackups: 0, maxBytes: 1 });
  file.write("a\n");
  await file.close();
  const again = await openFile({ maxAge: 7, maxBackups: 0, maxBytes: 1 });
  again.write("b\n");
  await again.close();
  expect(readdirSync(dir)).not.toContain("audit-2026-01-01T00-00-00.000.log");
  expect(readdirSync(dir)).toEqual(expect.arrayContaining(["audit-2026-01-30T00-00-00.000.log", "audit-notes.log"]));
});

it("loses what does not fit, and counts it", async () => {
  const file = await openFile({ maxWaiting: 10, maxBytes: 0 });
  file.write("123456\n");
  file.write("123456\n");
  await file.close();
  file.write("late\n");
  expect(content()).toBe("123456\n");
  expect(file.lost()).toBe(2);
});

it("tells once that the disk takes no more, and goes on when it does", async () => {
  const file = await openFile({ path: "/dev/full", maxBytes: 0 });
  file.write("a\n");
  await new Promise((resolve) => setTimeout(resolve, 20));
  file.write("b\n");
  await file.close();
  expect(file.lost()).toBe(2);
  expect(failures).toEqual([expect.objectContaining({ code: "ENOSPC" })]);
});
