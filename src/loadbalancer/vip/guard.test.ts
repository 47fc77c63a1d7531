import { chmod, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startGuarded } from "./guard.ts";

// `ip` is a program of the test: what it was told is in a file.
let dir: string;
let path: string | undefined;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "fairlead-guard-"));
  await writeFile(join(dir, "ip"), `#!/bin/sh\necho "$@" >> ${dir}/told\ncat "$3" >> ${dir}/told\n`);
  await chmod(join(dir, "ip"), 0o755);
  path = process.env["PATH"];
  process.env["PATH"] = `${dir}:${path ?? ""}`;
});
afterEach(async () => {
  process.env["PATH"] = path;
  await rm(dir, { recursive: true });
});

const told = () => readFile(join(dir, "told"), "utf8").catch(() => "");
const off = () => join(dir, "off");
async function start(...program: readonly string[]) {
  const log = await open(join(dir, "log"), "a");
  const guarded = await startGuarded(program, off(), log.fd);
  await log.close();
  return guarded;
}

test("a program that is killed has its addresses taken off, as they are written then", async () => {
  await writeFile(off(), "address delete 192.0.2.1/32 dev eth0\n");
  const { pid, ended } = await start("sleep", "600");
  expect(pid).toBeGreaterThan(1);
  await writeFile(off(), "address delete 192.0.2.2/32 dev eth0\n");
  process.kill(pid ?? 0, "SIGKILL");
  expect(await ended).toBe("exit 137");
  expect(await told()).toBe(`-force -batch ${off()}\naddress delete 192.0.2.2/32 dev eth0\n`);
});

test("one that ends by itself too; arguments are no words of a shell", async () => {
  await writeFile(off(), "address delete 192.0.2.1/32 dev eth0\n");
  const { ended } = await start("sh", "-c", 'echo "$1"; exit 3', "x", "a b; touch evil $(id)");
  expect(await ended).toBe("exit 3");
  expect(await told()).toContain("192.0.2.1");
  expect(await readFile(join(dir, "log"), "utf8")).toBe("a b; touch evil $(id)\n");
});

test("without addresses nothing is done; a program that is not there is told", async () => {
  const { ended } = await start(join(dir, "nothing"));
  expect(await ended).toBe("exit 127");
  expect(await told()).toBe("");
});
