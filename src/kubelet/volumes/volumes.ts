import {
  chmodSync,
  chownSync,
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { Client } from "../../client/index.ts";
import type { HostPathVolumeSource, Node, PersistentVolume, Pod, Volume } from "../../kube/index.ts";
import { ConfigError } from "../pods/config-error.ts";
import type { DownwardFacts } from "../pods/downward-api.ts";
import type { PodDirectories } from "../pods/pod-directories.ts";
import type { AccountTokens } from "./account-tokens.ts";
import { writeAtomically } from "./atomic-writer.ts";
import { claimedVolume, claimNameOf } from "./claimed-volume.ts";
import { isConfigVolume, payloadOf } from "./payload.ts";
import type { References } from "./references.ts";
import { giveToGroup } from "./volume-group.ts";

/** The volumes of this node's pods, as directories or files of the node. */
export interface Volumes {
  /** Makes them all. Answers their paths by name. Throws `ConfigError` naming the one that cannot be made. */
  setUp(pod: Pod, facts: DownwardFacts): Promise<ReadonlyMap<string, string>>;
  /** Brings the files of a running pod up to date with what they come from; what fails stays as it is. */
  refresh(pod: Pod, facts: DownwardFacts): Promise<void>;
  /** Ends the watches that keep them up to date; the files go with the pod's directory. */
  remove(podUid: string): void;
  /** Milliseconds until `refresh` has something to renew that nobody tells of; undefined: never. */
  dueIn(podUid: string): number | undefined;
}

export interface VolumeSources {
  readonly directories: PodDirectories;
  readonly references: References;
  readonly tokens: AccountTokens;
  /** Of claims and what they are bound to. */
  readonly client: Pick<Client, "get">;
  /** This node as the API has it: not every PersistentVolume is for every node. */
  readonly node: () => Node | undefined;
}

export function createVolumes({ directories, references, tokens, client, node }: VolumeSources): Volumes {
  const pathOf = (pod: Pod, volume: Volume): string =>
    volume.hostPath?.path ?? join(directories.volumes(pod.metadata.uid ?? ""), volume.name);

  const write = async (pod: Pod, volume: Volume, facts: DownwardFacts): Promise<void> => {
    const payload = await payloadOf(volume, facts, references.for(pod), tokens);
    writeAtomically(pathOf(pod, volume), payload, groupOf(pod));
  };

  /** Processes without mounts find a volume that is elsewhere by its name, beside the others. */
  const link = (pod: Pod, volume: Volume, path: string): string => {
    const directory = directories.volumes(pod.metadata.uid ?? "");
    const name = join(directory, volume.name);
    mkdirSync(directory, { recursive: true });
    if (lstatSync(name, { throwIfNoEntry: false })) rmSync(name);
    symlinkSync(path, name);
    return path;
  };

  /** Makes a volume ready. Answers its path. */
  const make = async (pod: Pod, volume: Volume, facts: DownwardFacts): Promise<string> => {
    const claimName = claimNameOf(pod, volume);
    if (claimName !== undefined) {
      const found = await claimedVolume(client, pod, claimName, node());
      return link(pod, volume, persistentPath(pod, found));
    }
    if (isConfigVolume(volume)) await write(pod, volume, facts);
    else if (volume.emptyDir) makeEmptyDir(pathOf(pod, volume), groupOf(pod));
    else if (volume.hostPath) {
      checkHostPath(volume.hostPath);
      link(pod, volume, volume.hostPath.path);
    } else {
      const kind = Object.keys(volume).find((key) => key !== "name") ?? "no source";
      const known =
        "emptyDir, configMap, secret, downwardAPI, projected, hostPath, persistentVolumeClaim and ephemeral";
      throw new ConfigError(`${kind} is not supported: this node has ${known}`);
    }
    return pathOf(pod, volume);
  };

  return {
    async setUp(pod, facts) {
      const paths = new Map<string, string>();
      for (const volume of pod.spec.volumes ?? []) {
        try {
          paths.set(volume.name, await make(pod, volume, facts));
        } catch (error) {
          const text = error instanceof Error ? error.message : String(error);
          throw new ConfigError(`MountVolume.SetUp failed for volume "${volume.name}" : ${text}`);
        }
      }
      return paths;
    },
    async refresh(pod, facts) {
      for (const volume of pod.spec.volumes ?? []) {
        if (!isConfigVolume(volume)) continue;
        try {
          await write(pod, volume, facts);
        } catch (error) {
          // Its ConfigMap was deleted, say: a running pod keeps what it has.
          if (!(error instanceof ConfigError)) throw error;
        }
      }
    },
    remove(podUid) {
      references.release(podUid);
      tokens.release(podUid);
    },
    dueIn: (podUid) => tokens.dueIn(podUid),
  };
}

/** Where a PersistentVolume is on this node. */
function persistentPath(pod: Pod, { metadata, spec }: PersistentVolume): string {
  if (spec.hostPath) {
    checkHostPath(spec.hostPath);
    return spec.hostPath.path;
  }
  if (!spec.local) {
    throw new ConfigError(`persistentvolume "${metadata.name}" is not supported: this node has hostPath and local`);
  }
  const { path } = spec.local;
  if (!statSync(path, { throwIfNoEntry: false })) throw new ConfigError(`path "${path}" does not exist`);
  const group = groupOf(pod);
  if (group !== undefined) giveToGroup(path, group, pod.spec.securityContext?.fsGroupChangePolicy);
  return path;
}

function groupOf(pod: Pod): number | undefined {
  return process.getuid?.() === 0 ? pod.spec.securityContext?.fsGroup : undefined;
}

function makeEmptyDir(path: string, group: number | undefined): void {
  mkdirSync(path, { recursive: true });
  if (group !== undefined) chownSync(path, -1, group);
  chmodSync(path, group === undefined ? 0o777 : 0o2777);
}

function checkHostPath({ path, type = "" }: HostPathVolumeSource): void {
  if (type === "DirectoryOrCreate") mkdirSync(path, { recursive: true, mode: 0o755 });
  if (type === "FileOrCreate") {
    mkdirSync(dirname(path), { recursive: true });
    closeSync(openSync(path, "a", 0o644));
  }
  if (type === "") return;
  const found = statSync(path, { throwIfNoEntry: false });
  const ok = {
    Directory: found?.isDirectory(),
    DirectoryOrCreate: found?.isDirectory(),
    File: found?.isFile(),
    FileOrCreate: found?.isFile(),
    Socket: found?.isSocket(),
    CharDevice: found?.isCharacterDevice(),
    BlockDevice: found?.isBlockDevice(),
  }[type];
  if (!ok) throw new ConfigError(`hostPath type check failed: ${path} is not a ${type}`);
}
