import { spawn } from "node:child_process";
import { access, constants, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CommandOptions, type CommandResult, runOrThrow, systemCommands } from "../../src/system/index.ts";

/** Root of the clone: tests and benchmarks are run from there. */
export const repository = process.cwd();

/** Who the programs of a lab run as: root, or a user without any rights (`nobody`, when the tests themselves are root). */
export type LabUser = "root" | "unprivileged";

/**
 * A machine within the machine: programs run in it as they would on a host of their own. Where the tests are root it is
 * a network namespace with one address of its own, so that nothing they do can leave it; else it is this machine, and
 * everything stays on loopback.
 */
export interface Lab {
  /** A folder that goes with the lab, writable for its user. */
  readonly dir: string;
  run(file: string, args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  /** What to start so that a program runs in the lab, for who looks after the process themselves: its id is the program's. */
  inside(file: string, args: readonly string[]): readonly [string, readonly string[]];
  /** Starts a program that goes on until it is stopped. */
  start(
    file: string,
    args: readonly string[],
    env?: Record<string, string>,
    options?: { readonly input?: boolean },
  ): Running;
  close(): Promise<void>;
}

/** A program that runs. */
export interface Running {
  /** What it has printed so far, on both outputs. */
  output(): string;
  /** Gives it input, where it was started with some. */
  write(text: string): void;
  /** Ends it (SIGTERM, or another signal) and settles when it has ended. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const isRoot = process.getuid?.() === 0;
const nobody = 65_534;

async function has(program: string): Promise<boolean> {
  for (const folder of ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]) {
    try {
      await access(join(folder, program), constants.X_OK);
      return true;
    } catch {
      continue;
    }
  }
  return false;
}

/** Whether a user who is not the owner may go down all the way to the repository. */
async function isReachable(): Promise<boolean> {
  const probe = ["--reuid", String(nobody), "--regid", String(nobody), "--clear-groups", "test", "-x"];
  const { code } = await systemCommands
    .run("setpriv", [...probe, join(repository, "fairlead")])
    .catch(() => ({ code: 1 }));
  return code === 0;
}

/** Why labs for root cannot be had here; undefined when they can. Goes into the titles of skipped tests. */
export const noKernel: string | undefined = !isRoot
  ? "needs root"
  : !(await has("ip"))
    ? "needs ip (package iproute2)"
    : !(await has("nft"))
      ? "needs nft (package nftables)"
      : undefined;

/** Why labs for a user without rights cannot be had here. */
export const noUnprivileged: string | undefined =
  isRoot && !(await isReachable()) ? "the repository is in a folder that only root may enter" : undefined;

let count = 0;

export async function openLab(user: LabUser): Promise<Lab> {
  const dir = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  const drop = isRoot && user === "unprivileged";
  const prefix: string[] = [];
  let closeNetwork = async () => {};
  if (isRoot && (await has("ip"))) {
    const name = `fairlead-test-${process.pid}-${++count}`;
    closeNetwork = await openNetwork(name);
    prefix.push("nsenter", `--net=/run/netns/${name}`, "--");
  }
  if (drop) {
    prefix.push("setpriv", "--reuid", String(nobody), "--regid", String(nobody), "--clear-groups", "--");
    await runOrThrow(systemCommands, "chown", [`${nobody}:${nobody}`, dir]);
  }
  const inside = (file: string, args: readonly string[]) => {
    const [first = file, ...rest] = [...prefix, file, ...args];
    return [first, rest] as const;
  };
  return {
    dir,
    inside,
    run: (file, args, options = {}) =>
      systemCommands.run(...inside(file, args), { timeout: 120_000, ...options, env: { HOME: dir, ...options.env } }),
    start(file, args, env = {}, { input = false } = {}) {
      const child = spawn(...inside(file, args), {
        stdio: [input ? "pipe" : "ignore", "pipe", "pipe"],
        env: { ...process.env, HOME: dir, ...env },
      });
      let output = "";
      // It may end before it has read everything.
      child.stdin?.on("error", () => {});
      for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => (output += String(chunk)));
      const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
      return {
        output: () => output,
        write: (text) => void child.stdin?.write(text),
        async stop(signal = "SIGTERM") {
          child.kill(signal);
          await ended;
        },
      };
    },
    async close() {
      await closeNetwork();
      await rm(dir, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

/** A network namespace that looks like a host with one network card; its default route leads nowhere. */
async function openNetwork(name: string): Promise<() => Promise<void>> {
  const ip = (...args: string[]) => runOrThrow(systemCommands, "ip", args);
  await ip("netns", "add", name);
  try {
    await ip("-n", name, "link", "set", "lo", "up");
    await ip("-n", name, "link", "add", "uplink", "type", "veth", "peer", "name", "nowhere");
    await ip("-n", name, "link", "set", "nowhere", "up");
    await ip("-n", name, "address", "add", "198.51.100.7/24", "dev", "uplink");
    await ip("-n", name, "link", "set", "uplink", "up");
    await ip("-n", name, "route", "add", "default", "via", "198.51.100.1");
  } catch (error) {
    await ip("netns", "delete", name);
    throw error;
  }
  return async () => void (await ip("netns", "delete", name));
}
