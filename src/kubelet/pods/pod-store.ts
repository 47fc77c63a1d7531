import type { Pod } from "../../kube/index.ts";
import type { Informer } from "../../client/index.ts";

/**
 * The pods of this node by uid: names may be used again while the old pod still ends. What the kubelet itself wrote
 * counts at once, before the watch brings it back.
 */
export interface PodStore {
  get(uid: string): Pod | undefined;
  all(): readonly Pod[];
  /** Takes an object that a write answered. */
  wrote(pod: Pod): void;
}

export function createPodStore(informer: Informer<Pod>): PodStore {
  const written = new Map<string, Pod>();
  return {
    all: () => informer.list(),
    get(uid) {
      const [seen] = informer.by("uid", uid);
      const own = written.get(uid);
      if (!seen || !own || versionOf(seen) >= versionOf(own)) {
        written.delete(uid);
        return seen;
      }
      return own;
    },
    wrote(pod) {
      written.set(pod.metadata.uid ?? "", pod);
    },
  };
}

/** Resource versions of one kind may be compared (KEP-5504). */
function versionOf(pod: Pod): bigint {
  return BigInt(pod.metadata.resourceVersion ?? "0");
}
