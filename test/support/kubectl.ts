import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { clientPrograms } from "../../scripts/kubectl.mjs";
import { type CommandResult, systemCommands } from "../../src/system/index.ts";

/** kubectl with a home of its own. */
export interface Kubectl {
  run(line: string, input?: string, signal?: AbortSignal): Promise<CommandResult>;
  /** What it prints; fails with what it complains of. */
  prints(line: string, input?: string): Promise<string>;
  /** What it complains of; fails when it does not. */
  complains(line: string, input?: string): Promise<string>;
  stop(): Promise<void>;
}

const programs = clientPrograms();

/** Undefined: it is there; else why a suite is skipped, in one line. */
export const withoutKubectl: string | undefined = programs ? undefined : "kubectl is not installed: npm install";

export async function startKubectl(kubeconfig: string): Promise<Kubectl> {
  const home = await mkdtemp(join(tmpdir(), "kubectl-home-"));
  const run: Kubectl["run"] = (line, input = "", signal) =>
    systemCommands.run(join(programs ?? "", "kubectl"), ["--kubeconfig", kubeconfig, ...line.split(" ")], {
      input,
      env: { HOME: home },
      ...(signal ? { signal } : {}),
    });
  return {
    run,
    async prints(line, input) {
      const { code, stdout, stderr } = await run(line, input);
      expect(code, stderr).toBe(0);
      return stdout;
    },
    async complains(line, input) {
      const { code, stdout, stderr } = await run(line, input);
      expect(code, stdout).not.toBe(0);
      return stderr;
    },
    stop: () => rm(home, { recursive: true, force: true }),
  };
}
