import { existsSync } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { CliError, systemCodeOf } from "./errors.ts";
import { takeProcessFile } from "./process-file.ts";

/** Where a cluster keeps what is on disk. All paths are absolute. */
export interface ClusterDirectory {
  readonly root: string;
  readonly kubeconfig: string;
  readonly pki: string;
  readonly store: string;
  /** Keys by which Secrets are encrypted in the store: who loses it loses them. */
  readonly encryption: string;
  /** One folder a node beneath. */
  readonly kubelet: string;
  /** Of the processes of further nodes: a process file and a kubeconfig each. */
  readonly agents: string;
  /** Of keepalived, one folder a node beneath. */
  readonly vips: string;
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
    encryption: join(root, "encryption.json"),
    kubelet: join(root, "kubelet"),
    agents: join(root, "agents"),
    vips: join(root, "vips"),
    pid: join(root, "fairlead.pid"),
    log: join(root, "fairlead.log"),
    state: join(root, "state.json"),
  };
}

/** Makes the directory, for its owner only. Throws CliError NOT_PERMITTED or BAD_FILE. */
export async function makeDirectory(directory: ClusterDirectory): Promise<void> {
  try {
    await makeFolder(directory.root);
  } catch (error) {
    throw directoryError(directory, error);
  }
}

/** With its parents. Not `recursive`: Node goes round for ever where a file system knows no folders to be made (/proc). */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    const found = await stat(path).catch(() => undefined);
    if (found?.isDirectory()) return;
    if (systemCodeOf(error) !== "ENOENT" || existsSync(dirname(path))) throw error;
    await makeFolder(dirname(path));
    await makeFolder(path);
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
    case "ENOENT":
      return new CliError("BAD_FILE", `${path} is no directory that can be used`, "choose another with --dir", {
        cause: error,
      });
    default:
      return new CliError("FAILED", `${path} cannot be used: ${String(error)}`, undefined, { cause: error });
  }
}

/** Takes the directory for this process. Throws CliError ALREADY_RUNNING when another has it. Returns how to give it back. */
export async function takeDirectory(directory: ClusterDirectory): Promise<() => Promise<void>> {
  const taken = await takeProcessFile(directory.pid).catch((error: unknown) => {
    throw directoryError(directory, error);
  });
  if ("giveBack" in taken) return taken.giveBack;
  throw new CliError(
    "ALREADY_RUNNING",
    `Fairlead already runs on ${JSON.stringify(directory.root)} (process ${taken.holder})`,
    "stop it with `fairlead down`, or choose another --dir",
  );
}
