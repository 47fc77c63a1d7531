import { type Client, type Informer, startInformer } from "../../client/index.ts";
import { type ConfigMap, type KubeObject, type Pod, type Resource, resources, type Secret } from "../../kube/index.ts";
import type { Clock, Logger } from "../../system/index.ts";
import { ConfigError } from "../pods/config-error.ts";
import type { Lookup } from "../pods/environment.ts";

/**
 * The ConfigMaps and Secrets that the volumes of this node's pods come from: each is watched by name while a pod
 * needs it, and no other is ever read.
 */
export interface References {
  /** Reads for one pod; what is read is watched until `release`. */
  for(pod: Pod): Lookup;
  release(podUid: string): void;
}

/** Milliseconds until an object must have been read. */
const longestWait = 10_000;

interface Watch {
  readonly informer: Informer<KubeObject>;
  readonly stop: AbortController;
  readonly pods: Set<string>;
}

export function createReferences(
  client: Client,
  options: {
    readonly onChange: (podUid: string) => void;
    readonly signal: AbortSignal;
    readonly clock: Clock;
    readonly log: Logger;
  },
): References {
  const watches = new Map<string, Watch>();

  /** An API that does not answer must not hold up the pod: it could not even be deleted. */
  const within = async (synced: Promise<void>, what: string): Promise<void> => {
    const done = new AbortController();
    const late = options.clock.sleep(longestWait, done.signal).then(() => {
      throw new ConfigError(`failed to sync ${what}: timed out waiting for the condition`);
    });
    try {
      await Promise.race([synced, late]);
    } finally {
      done.abort();
      late.catch(() => {});
    }
  };

  const read = async <T extends KubeObject>(resource: Resource<T>, pod: Pod, name: string): Promise<T | undefined> => {
    const namespace = pod.metadata.namespace ?? "";
    const key = `${resource.plural}/${namespace}/${name}`;
    let watch = watches.get(key);
    if (!watch) {
      const stop = new AbortController();
      const informer = startInformer(client, resource, {
        namespace,
        fieldSelector: `metadata.name=${name}`,
        signal: AbortSignal.any([options.signal, stop.signal]),
        log: options.log,
      });
      watch = { informer: informer as unknown as Informer<KubeObject>, stop, pods: new Set() };
      const { pods } = watch;
      watches.set(key, watch);
      informer.synced
        .then(() => {
          informer.onChange(() => {
            for (const uid of pods) options.onChange(uid);
          });
        })
        // Only an abort ends it before.
        .catch(() => {});
    }
    watch.pods.add(pod.metadata.uid ?? "");
    await within(watch.informer.synced, `${resource.singular} "${name}"`);
    return watch.informer.get({ namespace, name }) as T | undefined;
  };

  return {
    for: (pod) => ({
      configMap: (name) => read<ConfigMap>(resources.ConfigMap, pod, name),
      secret: (name) => read<Secret>(resources.Secret, pod, name),
    }),
    release(podUid) {
      for (const [key, watch] of watches) {
        watch.pods.delete(podUid);
        if (watch.pods.size > 0) continue;
        watch.stop.abort();
        watches.delete(key);
      }
    },
  };
}
