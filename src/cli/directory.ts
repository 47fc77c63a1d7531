import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { CliError, systemCodeOf } from "./errors.ts";

/** Where a cluster keeps what is on disk. All paths are absolute. */
export interface ClusterDirectory {
  readonly root: string;
  readonly kubeconfig: string;
  readonly pki: string;
  readonly store: string;
  /** One folder a node beneath. */
  readonly kubelet: string;
  readonly pid: string;
  readonly log: string;
  /** How the cluster was brought up last, for `down` and `status`. */
  readonly state: string;
}

/** `~/.fairlead` */
export const defaultDirectory = join(homedir(), ".fairlead");

export function clusterDirectory(dir: string): ClusterDirectory {
  const root = resolve(dir);
  return {
    root,
    kubeconfig: join(root, "kubeconfig"),
    pki: join(root, "pki"),
    store: join(root, "store"),
    kubelet: join(root, "kubelet"),
    pid: join(root, "fairlead.pid"),
    log: join(root, "fairlead.log"),
    state: join(root, "state.json"),
  };
}

/** Makes the directory, for its owner only. Throws CliError NOT_PERMITTED or BAD_FILE. */
export async function makeDirectory(directory: ClusterDirectory): Promise<void> {
  try {
    await mkdir(directory.root, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw directoryError(directory, error);
  }
}

function directoryError(directory: ClusterDirectory, error: unknown): CliError {
  const path = JSON.stringify(directory.root);
  switch (systemCodeOf(error)) {
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new CliError("NOT_PERMITTED", `${path} may not be written by this user`, "choose another with --dir", {
        cause: error,
      });
    case "EEXIST":
    case "ENOTDIR":
      return new CliError("BAD_FILE", `${path} is not a directory`, "choose another with --dir", { cause: error });
    default:
      return new CliError("FAILED", `${path} cannot be used: ${String(error)}`, undefined, { cause: error });
  }
}

/**
 * When a process was started, in clock ticks since boot, from /proc/PID/stat; undefined when there is none. With the
 * process id it names one process for ever: ids are used again, even by the same program.
 */
async function startTimeOf(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses and may hold blanks; the start time is the 20th after it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Process id of the Fairlead that runs on this directory; undefined when none does, also after a crash or a reboot. */
export async function runningPid(directory: ClusterDirectory): Promise<number | undefined> {
  let text: string;
  try {
    text = await readFile(directory.pid, "utf8");
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT" || systemCodeOf(error) === "ENOTDIR") return undefined;
    throw directoryError(directory, error);
  }
  const [pid, started] = text.trim().split(" ");
  if (!pid || !/^\d+$/.test(pid)) return undefined;
  return (await startTimeOf(Number(pid))) === started ? Number(pid) : undefined;
}

/** Takes the directory for this process. Throws CliError ALREADY_RUNNING when another has it. Returns how to give it back. */
export async function takeDirectory(directory: ClusterDirectory): Promise<() => Promise<void>> {
  const line = `${process.pid} ${(await startTimeOf(process.pid)) ?? ""}\n`;
  for (;;) {
    try {
      await writeFile(directory.pid, line, { flag: "wx" });
      return () => rm(directory.pid, { force: true });
    } catch (error) {
      if (systemCodeOf(error) !== "EEXIST") throw directoryError(directory, error);
    }
    const other = await runningPid(directory);
    if (other !== undefined) {
      throw new CliError(
        "ALREADY_RUNNING",
        `Fairlead already runs on ${JSON.stringify(directory.root)} (process ${other})`,
        "stop it with `fairlead down`, or choose another --dir",
      );
    }
    await rm(directory.pid, { force: true });
  }
}
