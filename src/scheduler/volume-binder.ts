import type { Client, Informers } from "../client/index.ts";
import { keyOf, nameOfKey, type PersistentVolumeClaim, type Pod, resources } from "../kube/index.ts";
import { keepVolume } from "./keep-volume.ts";
import { isBound, selectedNode } from "./volume-match.ts";
import { claimNamesOf, type StorageObjects, type VolumePlan } from "./volumes.ts";

/** Has volumes bound for pods that have found their node, and knows which volumes are promised meanwhile. */
export interface VolumeBinder {
  readonly storage: StorageObjects;
  readonly synced: readonly Promise<void>[];
  /** Keeps the volumes of a plan for its claims, at once, then writes it. Throws what the API refuses. */
  begin(pod: Pod, plan: VolumePlan): Promise<void>;
  /** True when every claim of the pod is bound; "failed": a provisioner has given the node back. */
  progress(pod: Pod): "bound" | "waits" | "failed";
  /** Keeps nothing for the pod any more. */
  end(podKey: string): void;
  /** `podKey`: of a pod whose claim changed after `begin`; undefined: something else changed that may help others. */
  onChange(listener: (podKey: string | undefined) => void): void;
}

export function createVolumeBinder(client: Client, informers: Informers): VolumeBinder {
  const claims = informers.of(resources.PersistentVolumeClaim);
  const volumes = informers.of(resources.PersistentVolume);
  const classes = informers.of(resources.StorageClass);
  /** Volume names with the claim and the pod that they are promised to. */
  const promised = new Map<string, { readonly claim: string; readonly pod: string }>();
  /** Keys of pods whose volumes are on their way, by claim. */
  const waiting = new Map<string, string>();
  /** Keys of pods for whose claims nothing can be made on the node. */
  const refused = new Set<string>();

  const storage: StorageObjects = {
    claim: (namespace, name) => claims.get({ namespace, name }),
    volume: (name) => volumes.get({ name }),
    volumesFor(claim) {
      const key = keyOf(claim);
      return volumes.list().filter(({ metadata }) => (promised.get(metadata.name)?.claim ?? key) === key);
    },
    storageClass: (name) => classes.get({ name }),
  };

  const select = async (claim: PersistentVolumeClaim, nodeName: string): Promise<void> => {
    if (claim.metadata.annotations?.[selectedNode] === nodeName) return;
    const { resourceVersion } = claim.metadata;
    const body = { metadata: { resourceVersion, annotations: { [selectedNode]: nodeName } } };
    await client.patch(resources.PersistentVolumeClaim, nameOfKey(keyOf(claim)), { type: "merge", body });
  };

  const claimsOf = (pod: Pod): (PersistentVolumeClaim | undefined)[] =>
    claimNamesOf(pod).map((name) => claims.get({ namespace: pod.metadata.namespace ?? "", name }));

  const end = (podKey: string): void => {
    for (const [name, { pod }] of promised) if (pod === podKey) promised.delete(name);
    for (const [claim, pod] of waiting) if (pod === podKey) waiting.delete(claim);
    refused.delete(podKey);
  };

  return {
    storage,
    synced: [claims.synced, volumes.synced, classes.synced],
    async begin(pod, { bind, provision, nodeName }) {
      const podKey = keyOf(pod);
      for (const { claim, volume } of bind) {
        promised.set(volume.metadata.name, { claim: keyOf(claim), pod: podKey });
        waiting.set(keyOf(claim), podKey);
      }
      for (const claim of provision) waiting.set(keyOf(claim), podKey);
      // Its controller does the rest when a volume names a claim.
      for (const { claim, volume } of bind) await keepVolume(client, volume, claim);
      for (const claim of provision) await select(claim, nodeName);
    },
    progress(pod) {
      const all = claimsOf(pod);
      if (all.every((claim) => claim && isBound(claim))) return "bound";
      const gone = all.some((claim) => !claim || claim.metadata.deletionTimestamp !== undefined);
      return gone || refused.has(keyOf(pod)) ? "failed" : "waits";
    },
    end,
    onChange(listener) {
      claims.onChange(({ after, before }) => {
        const claim = after ?? before;
        const podKey = claim ? waiting.get(keyOf(claim)) : undefined;
        const chosen = (one: typeof claim) => one?.metadata.annotations?.[selectedNode];
        if (podKey !== undefined && chosen(before) !== undefined && chosen(after) === undefined) refused.add(podKey);
        listener(podKey);
      });
      volumes.onChange(() => listener(undefined));
      classes.onChange(() => listener(undefined));
    },
  };
}
