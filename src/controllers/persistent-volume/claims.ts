import { createEventRecorder, startController } from "../../client/index.ts";
import {
  defaultStorageClassOf,
  keyOf,
  nameOfKey,
  type PersistentVolume,
  type PersistentVolumeClaim,
  resources,
} from "../../kube/index.ts";
import {
  bestVolumeFor,
  boundByController,
  bindCompleted,
  claimNamesOf,
  classOf,
  isBound,
  isKeptFor,
  mismatch,
  selectedNode,
  waitsForConsumer,
} from "../../scheduler/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";
import { bind, setClaimStatus } from "./bind.ts";

/** The annotation names who is to make a volume for the claim. */
export const provisionerAnnotations = [
  "volume.kubernetes.io/storage-provisioner",
  "volume.beta.kubernetes.io/storage-provisioner",
] as const;

const noProvisioner = "kubernetes.io/no-provisioner";

/** What a claim is told that nothing can be done for yet. */
interface Told {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

/** Binds claims to volumes, asks provisioners for those that have none, and says of bound ones when they have lost theirs. */
export function startClaimBinding(context: ControllerContext): Component {
  const { client, informers } = context;
  const claims = informers.of(resources.PersistentVolumeClaim);
  const volumes = informers.of(resources.PersistentVolume);
  const classes = informers.of(resources.StorageClass);
  const pods = informers.of(resources.Pod);
  const events = createEventRecorder(client, { ...context, component: "persistentvolume-controller" });

  const patch = (claim: PersistentVolumeClaim, body: { metadata?: object; spec?: object }) => {
    const metadata = { resourceVersion: claim.metadata.resourceVersion, ...body.metadata };
    const name = nameOfKey(keyOf(claim));
    return client.patch(resources.PersistentVolumeClaim, name, { type: "merge", body: { ...body, metadata } });
  };

  const lose = async (claim: PersistentVolumeClaim, reason: string, message: string): Promise<void> => {
    if (claim.status?.phase !== "Lost") events.event(claim, "Warning", reason, message);
    await setClaimStatus(client, claim, { phase: "Lost" });
  };

  const keepBound = async (claim: PersistentVolumeClaim): Promise<void> => {
    const volume = volumes.get({ name: claim.spec.volumeName ?? "" });
    const lost = "Any data on the volume is lost!";
    if (!volume) return lose(claim, "ClaimLost", `Bound claim has lost its PersistentVolume. ${lost}`);
    if (!volume.spec.claimRef || isKeptFor(volume, claim)) return bind(client, volume, claim);
    const message = "Two claims are bound to the same volume, this one is bound incorrectly";
    return lose(claim, "ClaimMisbound", message);
  };

  /** The claim names its volume already. */
  const bindNamed = async (claim: PersistentVolumeClaim, name: string): Promise<void> => {
    const volume = volumes.get({ name });
    if (volume && isKeptFor(volume, claim)) return bind(client, volume, claim);
    if (volume && !volume.spec.claimRef) {
      const why = mismatch(volume, claim);
      if (why === undefined) return bind(client, volume, claim);
      const message = `Cannot bind to requested volume ${JSON.stringify(name)}: ${why}`;
      events.event(claim, "Warning", "VolumeMismatch", message);
    }
    await setClaimStatus(client, claim, { phase: "Pending" });
  };

  const waitingPod = (claim: PersistentVolumeClaim): string | undefined =>
    pods
      .list(claim.metadata.namespace)
      .find((pod) => !pod.spec.nodeName && claimNamesOf(pod).includes(claim.metadata.name))?.metadata.name;

  /** Asks for a volume where one can be made. Answers what the claim waits for. */
  const provision = async (claim: PersistentVolumeClaim, delayed: boolean): Promise<Told> => {
    const className = classOf(claim);
    if (delayed) {
      const pod = waitingPod(claim);
      return pod === undefined
        ? {
            type: "Normal",
            reason: "WaitForFirstConsumer",
            message: "waiting for first consumer to be created before binding",
          }
        : { type: "Normal", reason: "WaitForPodScheduled", message: `waiting for pod ${pod} to be scheduled` };
    }
    if (className === "") {
      const message = "no persistent volumes available for this claim and no storage class is set";
      return { type: "Normal", reason: "FailedBinding", message };
    }
    const failed = (message: string): Told => ({ type: "Warning", reason: "ProvisioningFailed", message });
    const found = classes.get({ name: className });
    if (!found) return failed(`storageclass.storage.k8s.io ${JSON.stringify(className)} not found`);
    const { provisioner } = found;
    if (provisioner === noProvisioner) return failed(`no volume plugin matched name: ${provisioner}`);
    const [first] = provisionerAnnotations;
    if (claim.metadata.annotations?.[first] !== provisioner) {
      const annotations = Object.fromEntries(provisionerAnnotations.map((name) => [name, provisioner]));
      await patch(claim, { metadata: { annotations } });
    }
    const message = `Waiting for a volume to be created either by the external provisioner '${provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`;
    return { type: "Normal", reason: "ExternalProvisioning", message };
  };

  const bindAny = async (claim: PersistentVolumeClaim): Promise<void> => {
    const delayed =
      waitsForConsumer(classes.get({ name: classOf(claim) })) &&
      claim.metadata.annotations?.[selectedNode] === undefined;
    const volume = bestVolumeFor(claim, volumes.list(), { keptOnly: delayed });
    if (volume) return bind(client, volume, claim);
    const told = await provision(claim, delayed);
    events.event(claim, told.type, told.reason, told.message);
  };

  const reconcile = async (key: string): Promise<void> => {
    const claim = claims.get(nameOfKey(key));
    if (!claim) return;
    if (claim.metadata.annotations?.[bindCompleted] !== undefined) {
      const message = "Bound claim has lost reference to PersistentVolume. Any data on the volume is lost!";
      return isBound(claim) ? keepBound(claim) : lose(claim, "ClaimLost", message);
    }
    if (claim.metadata.deletionTimestamp) return;
    const { volumeName, storageClassName } = claim.spec;
    if (volumeName) return bindNamed(claim, volumeName);
    const isOpen = storageClassName === undefined && classOf(claim) === "";
    const usual = isOpen ? defaultStorageClassOf(classes.list()) : undefined;
    // It was made before there was a default class (KEP-3333); its change brings it back.
    if (usual) await patch(claim, { spec: { storageClassName: usual.metadata.name } });
    else await bindAny(claim);
  };

  const controller = startController({
    ...context,
    name: "claim binding",
    reconcile,
    after: [claims.synced, volumes.synced, classes.synced, pods.synced],
  });
  const enqueueOpen = (): void => {
    for (const claim of claims.list()) if (!isBound(claim)) controller.enqueue(keyOf(claim));
  };
  claims.onChange(({ after }) => {
    if (after) controller.enqueue(keyOf(after));
  });
  volumes.onChange(({ before, after }) => {
    for (const key of [before, after].map(claimKeyOf)) if (key !== undefined) controller.enqueue(key);
    const name = after?.metadata.name ?? before?.metadata.name;
    for (const claim of claims.list()) if (claim.spec.volumeName === name) controller.enqueue(keyOf(claim));
    if (after && !after.spec.claimRef && after.status?.phase === "Available") enqueueOpen();
  });
  classes.onChange(enqueueOpen);
  return controller;
}

/** Key of the claim that a volume is kept for. */
export function claimKeyOf(volume: PersistentVolume | undefined): string | undefined {
  const { namespace, name } = volume?.spec.claimRef ?? {};
  return namespace && name ? keyOf({ metadata: { namespace, name } }) : undefined;
}

/** True when the volume's side of the pair was made by a controller. */
export const wasChosen = ({ metadata }: PersistentVolume): boolean =>
  metadata.annotations?.[boundByController] !== undefined;
