import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { endProcess, runningProcess, takeProcessFile } from "./process-file.ts";

let dir: string;
let path: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "fairlead-"));
  path = join(dir, "pid");
});

afterEach(() => rm(dir, { recursive: true }));

it("names this process, once, until it is given back", async () => {
  const first = await takeProcessFile(path);
  expect(await runningProcess(path)).toBe(process.pid);
  expect(await takeProcessFile(path)).toEqual({ holder: process.pid });
  if ("giveBack" in first) await first.giveBack();
  expect(await runningProcess(path)).toBeUndefined();
});

it("is not fooled by another process with the id of a dead one", async () => {
  await writeFile(path, `${process.pid} 1\n`);
  expect(await runningProcess(path)).toBeUndefined();
  expect(await takeProcessFile(path)).toHaveProperty("giveBack");
});

it.each(["", "x", "\0", "-1 5", "99999999 5"])("takes over a file that holds %j", async (content) => {
  await writeFile(path, content);
  expect(await takeProcessFile(path)).toHaveProperty("giveBack");
  expect(await readFile(path, "utf8")).toMatch(new RegExp(`^${process.pid} \\d+\n$`));
});

it("endProcess ends a process that does not listen, and says when there was none", async () => {
  const stubborn = 'process.on("SIGTERM", () => {}); process.stdout.write("on"); setInterval(() => {}, 1000)';
  const child = spawn(process.execPath, ["-e", stubborn], { stdio: ["ignore", "pipe", "ignore"] });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  const stat = await readFile(`/proc/${child.pid}/stat`, "utf8");
  await writeFile(path, `${child.pid} ${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}\n`);
  expect(await endProcess(path, 50)).toBe(true);
  expect(child.signalCode ?? "SIGKILL").toBe("SIGKILL");
  expect(await endProcess(path, 50)).toBe(false);
});
