import {
  type Client,
  createEventRecorder,
  type Informers,
  messageOf,
  startController,
  unless,
} from "../../client/index.ts";
import {
  defaultClassAnnotation,
  keyOf,
  nameOfKey,
  type PersistentVolume,
  type PersistentVolumeClaim,
  resources,
  type StorageClass,
} from "../../kube/index.ts";
import { classOf, selectedNode } from "../../scheduler/index.ts";
import type { Clock, Component, Logger } from "../../system/index.ts";
import {
  directoryOf,
  localPathFinalizer,
  localPathProvisioner,
  makeDirectory,
  pathFor,
  refusalOf,
  removeDirectory,
  volumeFor,
  volumeNameOf,
} from "./local-path.ts";

export interface LocalPathOptions {
  readonly client: Client;
  readonly informers: Informers;
  /** The nodes of this machine, each with the directory in which its volumes are. */
  readonly nodes: ReadonlyMap<string, string>;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

const storageClass = {
  metadata: { name: "local-path", annotations: { [defaultClassAnnotation]: "true" } },
  provisioner: localPathProvisioner,
  reclaimPolicy: "Delete",
  // Which node's directory it is, is known with the pod.
  volumeBindingMode: "WaitForFirstConsumer",
};

/**
 * Makes volumes for claims of classes whose provisioner is `fairlead.dev/local-path`: a directory on the node that the scheduler chose. A
 * volume that is left goes with its directory when its policy is Delete. The class `local-path` is made when it is missing.
 * Sizes are not enforced.
 */
export function startLocalPathProvisioner(options: LocalPathOptions): Component {
  const { client, informers, nodes: roots } = options;
  const claims = informers.of(resources.PersistentVolumeClaim);
  const volumes = informers.of(resources.PersistentVolume);
  const classes = informers.of(resources.StorageClass);
  const nodes = informers.of(resources.Node);
  const events = createEventRecorder(client, { ...options, component: localPathProvisioner });

  const provision = async (
    claim: PersistentVolumeClaim,
    from: StorageClass,
    nodeName: string,
    root: string,
  ): Promise<void> => {
    const node = nodes.get({ name: nodeName });
    if (!node) throw new Error(`node ${JSON.stringify(nodeName)} not found`);
    const path = pathFor(root, claim);
    makeDirectory(path);
    const volume = volumeFor(claim, from, node, path);
    if (await unless(client.create(resources.PersistentVolume, volume), "AlreadyExists"))
      events.event(claim, "Normal", "ProvisioningSucceeded", `Successfully provisioned volume ${volume.metadata.name}`);
  };

  const serveClaim = async (key: string): Promise<void> => {
    const claim = claims.get(nameOfKey(key));
    if (!claim || claim.spec.volumeName || claim.metadata.deletionTimestamp) return;
    const found = classes.get({ name: classOf(claim) });
    if (found?.provisioner !== localPathProvisioner) return;
    const nodeName = claim.metadata.annotations?.[selectedNode];
    const immediate = nodeName === undefined && found.volumeBindingMode !== "WaitForFirstConsumer";
    const root = roots.get(nodeName ?? "");
    const refusal =
      refusalOf(claim) ?? (immediate ? "volumeBindingMode of its class must be WaitForFirstConsumer" : undefined);
    // Without a node it is not yet time, or it is another machine's.
    if (!root && !immediate) return;
    const failed = (why: string): void =>
      events.event(
        claim,
        "Warning",
        "ProvisioningFailed",
        `failed to provision volume with StorageClass ${JSON.stringify(found.metadata.name)}: ${why}`,
      );
    if (refusal !== undefined) return failed(refusal);
    if (!root || nodeName === undefined || volumes.get({ name: volumeNameOf(claim) })) return;
    try {
      await provision(claim, found, nodeName, root);
    } catch (error) {
      failed(messageOf(error));
      throw error;
    }
  };

  const letGo = async (volume: PersistentVolume): Promise<void> => {
    const { name, resourceVersion, finalizers = [] } = volume.metadata;
    const body = { metadata: { resourceVersion, finalizers: finalizers.filter((one) => one !== localPathFinalizer) } };
    await unless(client.patch(resources.PersistentVolume, { name }, { type: "merge", body }), "NotFound");
  };

  const serveVolume = async (name: string): Promise<void> => {
    const volume = volumes.get({ name });
    if (!volume?.metadata.finalizers?.includes(localPathFinalizer)) return;
    const directory = [...roots.values()].map((root) => directoryOf(volume, root)).find((path) => path !== undefined);
    const { phase } = volume.status ?? {};
    const isLeaving = volume.metadata.deletionTimestamp !== undefined;
    if (directory === undefined || phase === "Bound") return;
    if (volume.spec.persistentVolumeReclaimPolicy !== "Delete") {
      if (isLeaving) await letGo(volume);
      return;
    }
    if (!isLeaving && phase !== "Released") return;
    try {
      removeDirectory(directory);
    } catch (error) {
      events.event(volume, "Warning", "VolumeFailedDelete", messageOf(error));
      throw error;
    }
    if (isLeaving) await letGo(volume);
    else await unless(client.delete(resources.PersistentVolume, { name }), "NotFound");
  };

  const after = [claims.synced, volumes.synced, classes.synced, nodes.synced];
  const forClaims = startController({ ...options, name: "local path claims", reconcile: serveClaim, after });
  const forVolumes = startController({ ...options, name: "local path volumes", reconcile: serveVolume, after });
  claims.onChange(({ after: claim }) => {
    if (claim) forClaims.enqueue(keyOf(claim));
  });
  classes.onChange(({ after: found }) => {
    if (found?.provisioner !== localPathProvisioner) return;
    for (const claim of claims.list()) if (classOf(claim) === found.metadata.name) forClaims.enqueue(keyOf(claim));
  });
  volumes.onChange(({ after: volume }) => {
    if (volume) forVolumes.enqueue(volume.metadata.name);
  });

  const hasClass = classes.synced.then(async () => {
    if (classes.get({ name: storageClass.metadata.name })) return;
    await unless(client.create(resources.StorageClass, storageClass), "AlreadyExists");
  });
  const ready = Promise.all([hasClass, forClaims.ready, forVolumes.ready]).then(() => {});
  ready.catch(() => {});
  return {
    name: "local path provisioner",
    ready,
    stopped: Promise.all([forClaims.stopped, forVolumes.stopped]).then(() => {}),
  };
}
