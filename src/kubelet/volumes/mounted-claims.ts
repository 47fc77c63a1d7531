import { join } from "node:path";
import type { Pod } from "../../kube/index.ts";
import { isTerminal } from "../pods/pod-view.ts";
import type { PodDirectories } from "../pods/pod-directories.ts";
import type { MountedClaim } from "../stats/volume-figures.ts";
import { claimNameOf } from "./claimed-volume.ts";

/** The claims of pods that go on, each once, and where they are found on the node when they are mounted. */
export function mountedClaims(pods: readonly Pod[], directories: Pick<PodDirectories, "volumes">): MountedClaim[] {
  const found = new Map<string, MountedClaim>();
  for (const pod of pods.filter((one) => !isTerminal(one))) {
    const { namespace = "", uid = "" } = pod.metadata;
    for (const volume of pod.spec.volumes ?? []) {
      const claim = claimNameOf(pod, volume);
      if (claim === undefined) continue;
      found.set(`${namespace}/${claim}`, { namespace, claim, path: join(directories.volumes(uid), volume.name) });
    }
  }
  return [...found.values()];
}
