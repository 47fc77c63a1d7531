import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { randomBytes } from "node:crypto";
import { type CommandRunner, runOrThrow } from "../../system/index.ts";
import { hostsFile, resolvConf } from "./etc-files.ts";
import type { Isolation } from "./isolation.ts";
import { type ContainerConfig, type Mount, RuntimeError } from "./runtime.ts";
import { runDirectory, runtimeDirectory } from "./supervisor/connection.ts";

export interface NamespaceOptions {
  /** The same as the runtime's. */
  readonly dir: string;
  readonly commands: CommandRunner;
}

/**
 * With root: a pod has its own host name, each container its own mount namespace, in which /etc/resolv.conf and
 * /etc/hosts are the pod's and volumes are at their mount paths. The rest of the file system is the node's.
 *
 * Namespaces are kept as files (as `ip netns` does it), so they need no process and outlive the kubelet.
 */
export function createNamespaceIsolation({ dir, commands }: NamespaceOptions): Isolation {
  const kept = keptNamespaces(dir);
  const sandboxDirectory = (id: string): string => join(runtimeDirectory(dir), "etc", id);
  const utsFile = (id: string): string => join(kept, `${id}.uts`);
  const mountFile = (id: string): string => join(kept, `${id.slice(0, 24)}.mnt`);
  const run = (file: string, ...args: string[]): Promise<string> => runOrThrow(commands, file, args);
  let prepared: Promise<void> | undefined;

  /** A mount namespace can only be kept on a mount that is private. */
  const prepare = async (): Promise<void> => {
    mkdirSync(kept, { recursive: true, mode: 0o700 });
    if (isMountPoint(kept)) return;
    await run("mount", "--bind", kept, kept);
    await run("mount", "--make-private", kept);
  };

  /** Mount points that are not on the node are made, and taken away with the container. */
  const makeMountPoint = (mount: Mount): string[] => {
    const target = resolve("/", mount.target);
    if (target === "/") throw new RuntimeError("CREATE_FAILED", `mountPath "${mount.target}" cannot be the root`);
    const source = statSync(mount.source, { throwIfNoEntry: false });
    if (!source) mkdirSync(mount.source, { recursive: true });
    if (existsSync(target)) return [];
    const isFile = source !== undefined && !source.isDirectory();
    const made: string[] = [];
    for (let path = isFile ? dirname(target) : target; !existsSync(path); path = dirname(path)) made.push(path);
    if (isFile) {
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, "", { flag: "wx" });
      return [target, ...made];
    }
    mkdirSync(target, { recursive: true });
    return made;
  };

  return {
    mounts: true,
    async openSandbox(sandbox, config) {
      prepared ??= prepare();
      await prepared;
      const directory = sandboxDirectory(sandbox.id);
      mkdirSync(directory, { recursive: true, mode: 0o755 });
      writeFileSync(join(directory, "resolv.conf"), resolvConf(config.dns));
      writeFileSync(join(directory, "hosts"), hostsFile(config, sandbox.addresses));
      if (config.hostNetwork) return;
      writeFileSync(utsFile(sandbox.id), "");
      await run("unshare", `--uts=${utsFile(sandbox.id)}`, "hostname", config.hostname);
    },
    async closeSandbox(id) {
      await release(utsFile(id), commands);
      rmSync(sandboxDirectory(id), { recursive: true, force: true });
    },
    async openContainer(id, sandbox, config) {
      prepared ??= prepare();
      await prepared;
      const directory = sandboxDirectory(sandbox.id);
      // Inner ones first: that is the order in which they can be taken away.
      const made = config.mounts.flatMap(makeMountPoint).sort((a, b) => b.length - a.length);
      const own = ["resolv.conf", "hosts"].flatMap((name) =>
        existsSync(join("/etc", name))
          ? [{ name, source: join(directory, name), target: join("/etc", name), readOnly: false }]
          : [],
      );
      writeFileSync(mountFile(id), "");
      writeFileSync(`${mountFile(id)}.made`, JSON.stringify(made));
      await run("unshare", `--mount=${mountFile(id)}`, "--propagation", "slave", "true");
      // Outer directories first: a mount hides what was mounted inside it before.
      const mounts = [...own, ...config.mounts].sort((a, b) => a.target.length - b.target.length);
      for (const { source, target, readOnly } of mounts) {
        const ro = readOnly ? ["-o", "ro"] : [];
        await run("nsenter", `--mount=${mountFile(id)}`, "mount", "--bind", ...ro, source, target);
      }
      const uts = existsSync(utsFile(sandbox.id)) ? [`--uts=${utsFile(sandbox.id)}`] : [];
      const net = sandbox.netns === undefined ? [] : [`--net=/run/netns/${sandbox.netns}`];
      return ["nsenter", `--mount=${mountFile(id)}`, ...uts, ...net, "--", ...asUser(config), ...inDirectory(config)];
    },
    async closeContainer(id) {
      await releaseMounts(mountFile(id), commands);
    },
  };
}

/** Lets go of all namespaces kept for the runtime in `dir`. Its containers must have ended. */
export async function releaseNamespaces({ dir, commands }: NamespaceOptions): Promise<void> {
  const kept = keptNamespaces(dir);
  if (!existsSync(kept)) return;
  for (const name of readdirSync(kept)) {
    if (name.endsWith(".mnt")) await releaseMounts(join(kept, name), commands);
    if (name.endsWith(".uts")) await release(join(kept, name), commands);
  }
  await commands.run("umount", [kept]);
}

const keptNamespaces = (dir: string): string => join(runDirectory(runtimeDirectory(dir)), "ns");

async function release(file: string, commands: CommandRunner): Promise<void> {
  if (!existsSync(file)) return;
  // Not mounted any more after a restart of the machine.
  await commands.run("umount", [file]);
  rmSync(file, { force: true });
}

async function releaseMounts(file: string, commands: CommandRunner): Promise<void> {
  await release(file, commands);
  const list = `${file}.made`;
  if (!existsSync(list)) return;
  for (const path of JSON.parse(readFileSync(list, "utf8")) as string[]) removeEmpty(path);
  rmSync(list, { force: true });
}

function asUser({ user, group, supplementalGroups }: ContainerConfig): string[] {
  if (user === undefined && group === undefined && supplementalGroups.length === 0) return [];
  const uid = user ?? 0;
  const groups = supplementalGroups.length > 0 ? [`--groups=${supplementalGroups.join(",")}`] : ["--clear-groups"];
  return ["setpriv", `--reuid=${uid}`, `--regid=${group ?? 0}`, ...groups, "--"];
}

function inDirectory({ workingDir }: ContainerConfig): string[] {
  return workingDir === undefined || workingDir === "/" ? [] : ["env", `--chdir=${workingDir}`, "--"];
}

/** Another container may use it, or someone has put something there: then it stays. */
function removeEmpty(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  try {
    if (stat?.isDirectory()) rmdirSync(path);
    else if (stat?.size === 0) rmSync(path);
  } catch {
    // Not empty or busy.
  }
}

function isMountPoint(path: string): boolean {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .some((line) => line.split(" ")[4] === path);
}

/** Why pods cannot have namespaces of their own here; undefined when they can. */
export async function isolationProblem(commands: CommandRunner): Promise<string | undefined> {
  if (process.platform !== "linux") return "this is not Linux";
  if (process.getuid?.() !== 0) return "not started as root";
  const name = `fl-probe-${randomBytes(4).toString("hex")}`;
  try {
    await runOrThrow(commands, "ip", ["netns", "add", name]);
    await runOrThrow(commands, "ip", ["netns", "delete", name]);
    await runOrThrow(commands, "unshare", ["--mount", "--uts", "true"]);
    await runOrThrow(commands, "nsenter", ["--version"]);
    await runOrThrow(commands, "setpriv", ["--version"]);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
