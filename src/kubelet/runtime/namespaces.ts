import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type CommandRunner, runOrThrow } from "../../system/index.ts";
import { hostsFile, resolvConf } from "./etc-files.ts";
import type { Isolation } from "./isolation.ts";
import { capabilities } from "../pods/capabilities.ts";
import { arrangeMounts } from "./arrange-mounts.ts";
import { openMountPoints } from "./mount-points.ts";
import type { ContainerConfig, Mount } from "./runtime.ts";
import { runtimeDirectory } from "./supervisor/connection.ts";

/**
 * What runs first in a container's new namespaces: it sets the host name (unless that is empty), makes the mounts (three
 * arguments each: source, target, rw or ro) up to `--`, writes the settings of the pod's network (two each: file, value) up to `--`, and becomes the command. A target inside another volume is made there.
 * The text is constant; everything that comes from a pod is a positional parameter. A mount namespace that is kept as a file instead needs no such program, but
 * Linux 6.18 refuses to keep some of them (EINVAL) wherever the kubelet itself is not in the machine's first one.
 */
const setUp = `
[ -z "$1" ] || hostname "$1" || exit 125
shift
while [ "$1" != -- ]; do
  if [ ! -e "$2" ]; then
    if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "\${2%/*}" && : > "$2"; fi || exit 125
  fi
  mount --bind "$1" "$2" || exit 125
  [ "$3" = rw ] || mount -o remount,bind,ro "$2" || exit 125
  shift 3
done
shift
while [ "$1" != -- ]; do
  printf %s "$2" > "$1" || exit 125
  shift 2
done
shift
exec "$@"
`;

const unshare = ["unshare", "--mount", "--uts", "--propagation", "slave", "--"];

/** The node's own names; a node may have none. */
const nodeHosts = (): string => (existsSync("/etc/hosts") ? readFileSync("/etc/hosts", "utf8") : "");

/** Whoever takes longer hangs in a mount; the container then counts as started. */
const setUpMs = 10_000;

/**
 * With root: a container has its own host name and mount namespace, in which /etc/resolv.conf and /etc/hosts are the
 * pod's and volumes are at their mount paths. The rest of the file system is the node's. `dir` is the runtime's.
 */
export function createNamespaceIsolation({ dir }: { readonly dir: string }): Isolation {
  const sandboxDirectory = (id: string): string => join(runtimeDirectory(dir), "etc", id);
  const mountPoints = openMountPoints(runtimeDirectory(dir));

  return {
    mounts: true,
    openSandbox(sandbox, config) {
      const directory = sandboxDirectory(sandbox.id);
      mkdirSync(directory, { recursive: true, mode: 0o755 });
      writeFileSync(join(directory, "resolv.conf"), resolvConf(config.dns));
      writeFileSync(
        join(directory, "hosts"),
        hostsFile(config, sandbox.addresses, config.hostNetwork ? nodeHosts() : ""),
      );
    },
    closeSandbox: (id) => rmSync(sandboxDirectory(id), { recursive: true, force: true }),
    starting(id, sandbox, config) {
      const directory = sandboxDirectory(sandbox.id);
      const wanted = [...config.mounts, ...terminationMount(config)];
      const own = ["resolv.conf", "hosts"].flatMap((name) => {
        const target = join("/etc", name);
        return existsSync(target) ? [{ name, source: join(directory, name), target, readOnly: false }] : [];
      });
      for (const mount of wanted) mountPoints.make(mount);
      const mounts = arrangeMounts([...own, ...wanted], (path) => statSync(path).isDirectory());
      for (const mount of mounts) mountPoints.make(mount);
      const net = sandbox.netns === undefined ? [] : ["nsenter", `--net=/run/netns/${sandbox.netns}`, "--"];
      const hostname = sandbox.netns === undefined ? "" : sandbox.hostname;
      return [
        ...net,
        ...unshare,
        "sh",
        "-c",
        setUp,
        id,
        hostname,
        ...mounts.flatMap(({ source, target, readOnly }) => [source, target, readOnly ? "ro" : "rw"]),
        "--",
        // Without a network of its own they would be the node's.
        ...(sandbox.netns === undefined ? [] : (config.sysctls ?? [])).flatMap(({ path, value }) => [path, value]),
        "--",
      ];
    },
    async started(id, pid) {
      // Until then its arguments hold its own id, as the name of the set-up program.
      for (let waited = 0; waited < setUpMs && isSettingUp(id, pid); waited += 2) await sleep(2);
    },
    within: (config) => [...asUser(config), ...inDirectory(config)],
    entering: (pid) => ["nsenter", `--target=${pid}`, "--mount", "--uts", "--net", "--"],
  };
}

/** The file in which a container says why it ended, empty and for every user: made anew for each container. */
function terminationMount({ terminationLog }: ContainerConfig): Mount[] {
  if (!terminationLog) return [];
  const { file: source, target } = terminationLog;
  writeFileSync(source, "");
  chmodSync(source, 0o666);
  return [{ name: "termination-log", source, target, readOnly: false }];
}

/**
 * Whether a process is still the set-up program of container `id`, or on the way to it. In the middle of an execve a
 * process has no arguments for a moment, as one that has ended has none: its state tells them apart.
 */
function isSettingUp(id: string, pid: number): boolean {
  try {
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    if (commandLine !== "") return commandLine.includes(id);
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

function asUser(config: ContainerConfig): string[] {
  const { user, group, supplementalGroups, droppedCapabilities: dropped = [] } = config;
  const groups = supplementalGroups.length > 0 ? [`--groups=${supplementalGroups.join(",")}`] : ["--clear-groups"];
  const isRoot = user === undefined && group === undefined && supplementalGroups.length === 0;
  const last = lastCapability();
  // By number: setpriv may not know the names of the newest ones.
  const less = dropped
    .map((name) => capabilities.indexOf(name))
    .filter((number) => number >= 0 && number <= last)
    .map((number) => (number < 38 ? `-${capabilities[number]}` : `-cap_${number}`))
    .join(",");
  const options = [
    ...(isRoot ? [] : [`--reuid=${user ?? 0}`, `--regid=${group ?? 0}`, ...groups]),
    ...(less ? [`--bounding-set=${less}`, `--inh-caps=${less}`] : []),
    ...(config.noNewPrivileges ? ["--no-new-privs"] : []),
  ];
  return options.length > 0 ? ["setpriv", ...options, "--"] : [];
}

/** Number of the newest capability that the kernel has. */
function lastCapability(): number {
  return Number(readFileSync("/proc/sys/kernel/cap_last_cap", "utf8"));
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
    await runOrThrow(commands, "unshare", [...unshare.slice(1), "hostname", "probe"]);
    await runOrThrow(commands, "nsenter", ["--version"]);
    await runOrThrow(commands, "setpriv", ["--version"]);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
