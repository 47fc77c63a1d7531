import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import {
  createLoopbackNetwork,
  createProcessRuntime,
  noIsolation,
  stopProcessRuntime,
} from "../../src/kubelet/index.ts";
import { systemClock } from "../../src/system/index.ts";
import { buildPrograms } from "./built.ts";

describe("containers outlive the process that started them", () => {
  const programs = buildPrograms();
  const dirs: string[] = [];
  afterEach(async () => {
    for (const dir of dirs.splice(0)) {
      await stopProcessRuntime(dir);
      rmSync(dir, { recursive: true, force: true });
    }
  });

  test("killed with SIGKILL while it works, five times: the same process goes on and no line is lost", async () => {
    const dir = mkdtempSync(join(tmpdir(), "adoption-"));
    dirs.push(dir);
    const logPath = join(dir, "0.log");
    const holder = spawn(process.execPath, [programs.holder, dir, logPath, ...programs.supervisor], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [said] = (await once(holder.stdout, "data")) as [Buffer];
    const id = said.toString().trim();
    await kill(holder);

    const network = createLoopbackNetwork({ dir });
    await network.setUp(["127.42.10.0/24"]);
    const pids = new Set<unknown>();
    for (let i = 0; i < 5; i++) {
      await systemClock.sleep(50);
      const runtime = createProcessRuntime({
        dir,
        network,
        isolation: noIsolation,
        images: {},
        clock: systemClock,
        supervisor: programs.supervisor,
      });
      const { containers, sandboxes } = await runtime.list("u");
      expect(sandboxes).toMatchObject([{ podUid: "u", ready: true, addresses: ["127.42.10.2"] }]);
      expect(containers).toMatchObject([{ id, state: "running", attempt: 0 }]);
      pids.add((containers[0] as unknown as { pid: number }).pid);
      runtime.close();
    }
    expect(pids.size).toBe(1);
    const lines = readFileSync(logPath, "utf8").trimEnd().split("\n");
    expect(lines.length).toBeGreaterThan(5);
    expect(lines.map((line) => Number(line.split("line ")[1]))).toEqual(lines.map((_, i) => i + 1));
  });

  test("two that start at once share one supervisor", async () => {
    const dir = mkdtempSync(join(tmpdir(), "adoption-"));
    dirs.push(dir);
    const network = createLoopbackNetwork({ dir });
    await network.setUp(["127.42.10.0/24"]);
    const common = { dir, network, isolation: noIsolation, images: {}, clock: systemClock };
    const runtimes = Array.from({ length: 4 }, () =>
      createProcessRuntime({ ...common, supervisor: programs.supervisor }),
    );
    const lists = await Promise.all(runtimes.map((runtime) => runtime.list()));
    expect(lists).toEqual(runtimes.map(() => ({ sandboxes: [], containers: [] })));
    for (const runtime of runtimes) runtime.close();
  });
});

async function kill(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "exit");
}
