import { rmSync } from "node:fs";
import { join } from "node:path";

/** Where the files of a pod are on the node. */
export interface PodDirectories {
  readonly root: string;
  pod(uid: string): string;
  /** Logs of one container: `ATTEMPT.log`. */
  logs(uid: string, container: string): string;
  volumes(uid: string): string;
  remove(uid: string): void;
}

export function podDirectories(dir: string): PodDirectories {
  const root = join(dir, "pods");
  const pod = (uid: string): string => join(root, uid);
  return {
    root,
    pod,
    logs: (uid, container) => join(pod(uid), "logs", container),
    volumes: (uid) => join(pod(uid), "volumes"),
    remove: (uid) => rmSync(pod(uid), { recursive: true, force: true }),
  };
}
