import { type Client, type EventRecorder, messageOf, unless } from "../../client/index.ts";
import {
  type Deployment,
  type DeploymentStatus,
  findCondition,
  isNamespaceTerminating,
  isStatus,
  keyOf,
  nameOfKey,
  type Pod,
  type ReplicaSet,
  resources,
  semanticEqual,
} from "../../kube/index.ts";
import { controllerOf, controllerReference } from "../owners.ts";
import { isTerminal } from "../pods.ts";
import { hashLabel, hashOf, withHash, withoutHash } from "./hash.ts";
import { annotationsOf, expired, nextRevision, revisionAnnotation, scaleAnnotations } from "./revisions.ts";
import { isRolling } from "./limits.ts";
import { currentSize, resize, type Scale, shrinkOld, wasResized } from "./rolling.ts";
import { type Sets, sizeOf, splitSets, sum } from "./sets.ts";
import {
  countStatus,
  hasDeadline,
  isComplete,
  lateIn,
  pauseConditions,
  rolloutStatus,
  withCondition,
} from "./status.ts";

export interface RolloutContext {
  readonly client: Client;
  readonly events: EventRecorder;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly podsOf: (set: ReplicaSet) => readonly Pod[];
}

/** One step of a Deployment towards its spec. Asks to be called again when a deadline has to be watched. */
export async function rollOut(
  context: RolloutContext,
  observed: Deployment,
  all: readonly ReplicaSet[],
): Promise<{ again: number } | undefined> {
  const { client, now } = context;
  let deployment = observed;
  let sets = splitSets(deployment, all);

  const writeStatus = async (status: DeploymentStatus): Promise<void> => {
    if (!semanticEqual(status, deployment.status)) {
      deployment = await client.updateStatus(resources.Deployment, { ...deployment, status });
    }
  };
  const scaleTo = async (scales: readonly Scale[]): Promise<boolean> => {
    let changed = false;
    for (const scale of scales) {
      const resized = sizeOf(scale.set) !== scale.replicas;
      const set = await scaleSet(context, deployment, scale);
      sets = {
        current: sets.current === scale.set ? set : sets.current,
        old: sets.old.map((o) => (o === scale.set ? set : o)),
      };
      changed ||= resized;
    }
    return changed;
  };
  const finish = async (status: DeploymentStatus) => {
    await writeStatus(status);
    const again = lateIn(deployment, status, now);
    return again === undefined ? undefined : { again };
  };
  const prune = async (): Promise<void> => {
    for (const set of expired(deployment, sets.old)) {
      const preconditions = { uid: set.metadata.uid ?? "" };
      await unless(
        client.delete(resources.ReplicaSet, nameOfKey(keyOf(set)), { preconditions }),
        "NotFound",
        "Conflict",
      );
    }
  };

  if (deployment.metadata.deletionTimestamp) return finish(countStatus(deployment, sets, now));
  const paused = pauseConditions(deployment, now);
  if (paused) await writeStatus({ ...deployment.status, conditions: [...paused] });
  if (sets.current) {
    ({ deployment, sets } = await adoptRevision(context, deployment, sets.current, sets.old));
  }
  if (deployment.spec.paused || wasResized(deployment, [...sets.old, ...(sets.current ? [sets.current] : [])])) {
    await scaleTo(resize(deployment, sets));
    if (deployment.spec.paused) await prune();
    return finish(countStatus(deployment, sets, now));
  }

  const rolling = isRolling(deployment);
  if (!rolling) {
    const running = sets.old.filter((set) => sizeOf(set) > 0);
    if (await scaleTo(running.map((set) => ({ set, replicas: 0 }))))
      return finish(rolloutStatus(deployment, sets, now));
    if (hasOldPods(context, sets)) return finish(rolloutStatus(deployment, sets, now));
  }
  if (!sets.current) {
    const made = await createCurrent(context, deployment, sets.old);
    deployment = made.deployment;
    sets = { current: made.set, old: sets.old };
  }
  const { current } = sets;
  if (current) {
    const total = sum([...sets.old, current], sizeOf);
    const grown = await scaleTo([{ set: current, replicas: currentSize(deployment, sizeOf(current), total) }]);
    if (grown && rolling) return finish(rolloutStatus(deployment, sets, now));
  }
  if (rolling && (await scaleTo(shrinkOld(deployment, sets)))) return finish(rolloutStatus(deployment, sets, now));
  if (isComplete(deployment, deployment.status)) await prune();
  return finish(rolloutStatus(deployment, sets, now));
}

/** Brings revision, annotations and the first Progressing condition in line when the template has a ReplicaSet already. */
async function adoptRevision(
  context: RolloutContext,
  observed: Deployment,
  found: ReplicaSet,
  old: readonly ReplicaSet[],
): Promise<{ deployment: Deployment; sets: Sets }> {
  const { client, now } = context;
  let current = found;
  const annotations = annotationsOf(observed, found, nextRevision(old));
  const minReadySeconds = observed.spec.minReadySeconds ?? 0;
  if (
    !semanticEqual(annotations, found.metadata.annotations) ||
    minReadySeconds !== (found.spec.minReadySeconds ?? 0)
  ) {
    current = await client.update(resources.ReplicaSet, {
      ...found,
      metadata: { ...found.metadata, annotations },
      spec: { ...found.spec, minReadySeconds },
    });
  }
  let deployment = await setRevision(client, observed, current);
  if (hasDeadline(deployment) && !findCondition(deployment.status?.conditions, "Progressing")) {
    const message = `Found new replica set "${current.metadata.name}"`;
    const conditions = withCondition(
      deployment.status?.conditions,
      "Progressing",
      "True",
      "FoundNewReplicaSet",
      message,
      now,
    );
    const status = { ...deployment.status, conditions: [...conditions] };
    deployment = await client.updateStatus(resources.Deployment, { ...deployment, status });
  }
  return { deployment, sets: { current, old } };
}

/** The Deployment shows the revision of its current ReplicaSet. */
async function setRevision(client: Client, deployment: Deployment, { metadata }: ReplicaSet): Promise<Deployment> {
  const revision = metadata.annotations?.[revisionAnnotation];
  if (!revision || deployment.metadata.annotations?.[revisionAnnotation] === revision) return deployment;
  const body = {
    metadata: { resourceVersion: deployment.metadata.resourceVersion, annotations: { [revisionAnnotation]: revision } },
  };
  return client.patch(resources.Deployment, nameOfKey(keyOf(deployment)), { type: "merge", body });
}

/** Makes the ReplicaSet of the template. */
async function createCurrent(
  context: RolloutContext,
  observed: Deployment,
  old: readonly ReplicaSet[],
): Promise<{ deployment: Deployment; set: ReplicaSet }> {
  const { client, events, now } = context;
  const { spec, metadata, status } = observed;
  const hash = hashOf(spec.template, status?.collisionCount);
  const template = withHash(spec.template, hash);
  const name = `${metadata.name}-${hash}`;
  const replicas = currentSize(observed, 0, sum(old, sizeOf));
  const setCondition = (isTrue: boolean, reason: string, message: string): Promise<Deployment> => {
    if (!hasDeadline(observed)) return Promise.resolve(observed);
    const value = isTrue ? "True" : "False";
    const conditions = [...withCondition(status?.conditions, "Progressing", value, reason, message, now)];
    return client.updateStatus(resources.Deployment, { ...observed, status: { ...status, conditions } });
  };

  let set: ReplicaSet;
  try {
    set = await client.create(resources.ReplicaSet, {
      metadata: {
        name,
        namespace: metadata.namespace ?? "default",
        labels: template.metadata?.labels ?? {},
        annotations: annotationsOf(observed, undefined, nextRevision(old)),
        ownerReferences: [{ ...controllerReference(observed), apiVersion: "apps/v1", kind: "Deployment" }],
      },
      spec: {
        replicas,
        ...(spec.minReadySeconds ? { minReadySeconds: spec.minReadySeconds } : {}),
        selector: { ...spec.selector, matchLabels: { ...spec.selector.matchLabels, [hashLabel]: hash } },
        template,
      },
    });
  } catch (error) {
    if (!isStatus(error, "AlreadyExists")) {
      // A namespace that goes away takes its Deployments along.
      if (!isNamespaceTerminating(error)) {
        const message = `Failed to create new replica set "${name}": ${messageOf(error)}`;
        events.event(observed, "Warning", "ReplicaSetCreateError", message);
        await setCondition(false, "ReplicaSetCreateError", message);
      }
      throw error;
    }
    const there = await client.get(resources.ReplicaSet, { namespace: metadata.namespace ?? "default", name });
    const isOurs = controllerOf(there)?.uid === metadata.uid;
    if (isOurs && semanticEqual(withoutHash(there.spec.template), withoutHash(spec.template))) {
      return { deployment: await setRevision(client, observed, there), set: there };
    }
    // Another template has the same hash: the next try takes another name.
    const collisionCount = (status?.collisionCount ?? 0) + 1;
    await client.updateStatus(resources.Deployment, { ...observed, status: { ...status, collisionCount } });
    throw error;
  }
  if (replicas > 0) {
    events.event(observed, "Normal", "ScalingReplicaSet", `Scaled up replica set ${name} from 0 to ${replicas}`);
  }
  const updated = await setCondition(true, "NewReplicaSetCreated", `Created new replica set "${name}"`);
  return { deployment: await setRevision(client, updated, set), set };
}

/** Sets the size of a ReplicaSet, and in its annotations that of the Deployment. */
async function scaleSet(
  { client, events }: RolloutContext,
  deployment: Deployment,
  { set, replicas }: Scale,
): Promise<ReplicaSet> {
  const size = sizeOf(set);
  const annotations = { ...set.metadata.annotations, ...scaleAnnotations(deployment) };
  if (size === replicas) {
    // Only a change of the Deployment's own size is worth a write.
    if (size === 0 || semanticEqual(annotations, set.metadata.annotations)) return set;
  }
  const spec = { ...set.spec, replicas };
  const updated = await client.update(resources.ReplicaSet, {
    ...set,
    metadata: { ...set.metadata, annotations },
    spec,
  });
  if (size !== replicas) {
    const direction = size < replicas ? "up" : "down";
    const message = `Scaled ${direction} replica set ${set.metadata.name} from ${size} to ${replicas}`;
    events.event(deployment, "Normal", "ScalingReplicaSet", message);
  }
  return updated;
}

/** True while a pod of an old template may still run. */
function hasOldPods({ podsOf }: RolloutContext, { old }: Sets): boolean {
  return old.some((set) => (set.status?.replicas ?? 0) > 0 || podsOf(set).some((pod) => !isTerminal(pod)));
}
