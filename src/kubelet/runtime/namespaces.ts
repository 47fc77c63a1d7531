import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { type CommandRunner, runOrThrow } from "../../system/index.ts";
import { hostsFile, resolvConf } from "./etc-files.ts";
import type { Isolation } from "./isolation.ts";
import { besideSupervisor, mountTable } from "./mount-namespace.ts";
import { openMountPoints } from "./mount-points.ts";
import type { ContainerConfig } from "./runtime.ts";
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
export function createNamespaceIsolation({ dir, commands: plain }: NamespaceOptions): Isolation {
  const commands = besideSupervisor(dir, plain);
  const kept = keptNamespaces(dir);
  const sandboxDirectory = (id: string): string => join(runtimeDirectory(dir), "etc", id);
  const utsFile = (id: string): string => join(kept, `${id}.uts`);
  const mountFile = (id: string): string => join(kept, `${id.slice(0, 24)}.mnt`);
  const run = (file: string, ...args: string[]): Promise<string> => runOrThrow(commands, file, args);
  const mountPoints = openMountPoints(runtimeDirectory(dir));
  let prepared: Promise<void> = Promise.resolve();

  /** A mount namespace can only be kept on a mount that is private. */
  const prepare = async (): Promise<void> => {
    mkdirSync(kept, { recursive: true, mode: 0o700 });
    const isMounted = mountTable(dir)
      .split("\n")
      .some((line) => line.split(" ")[4] === kept);
    if (isMounted) return;
    await run("mount", "--bind", kept, kept);
    await run("mount", "--make-private", kept);
  };

  return {
    mounts: true,
    async openSandbox(sandbox, config) {
      await (prepared = prepared.then(prepare));
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
      await (prepared = prepared.then(prepare));
      const directory = sandboxDirectory(sandbox.id);
      for (const mount of config.mounts) mountPoints.make(mount);
      const own = ["resolv.conf", "hosts"].flatMap((name) =>
        existsSync(join("/etc", name))
          ? [{ name, source: join(directory, name), target: join("/etc", name), readOnly: false }]
          : [],
      );
      writeFileSync(mountFile(id), "");
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
      await release(mountFile(id), commands);
    },
  };
}

/** Lets go of all namespaces kept for the runtime in `dir`. Its containers must have ended. */
export async function releaseNamespaces({ dir, commands }: NamespaceOptions): Promise<void> {
  const kept = keptNamespaces(dir);
  if (!existsSync(kept)) return;
  for (const name of readdirSync(kept)) {
    await release(join(kept, name), commands);
  }
  await commands.run("umount", [kept]);
  openMountPoints(runtimeDirectory(dir)).removeUnused();
}

const keptNamespaces = (dir: string): string => join(runDirectory(runtimeDirectory(dir)), "ns");

async function release(file: string, commands: CommandRunner): Promise<void> {
  if (!existsSync(file)) return;
  // Not mounted any more after a restart of the machine.
  await commands.run("umount", [file]);
  rmSync(file, { force: true });
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
