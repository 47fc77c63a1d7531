import { createEventRecorder, messageOf, startController, unless } from "../../client/index.ts";
import {
  isNamespaceTerminating,
  isStatus,
  keyOf,
  nameOfKey,
  type Pod,
  type ReplicaSet,
  resources,
  semanticEqual,
} from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import { batchPeriod } from "../batch-period.ts";
import type { ControllerContext } from "../context.ts";
import { carryOut, claimOf, controllerIndex, controllerOf, orphansIn, uidOf } from "../owners.ts";
import { rememberWrites } from "../own-writes.ts";
import { adoptersOf, followPods } from "../pod-owners.ts";
import { podDraft } from "../pod-draft.ts";
import { isActive } from "../pods.ts";
import { slowStart } from "../slow-start.ts";
import { createExpectations } from "../expectations.ts";
import { type ReplicaKind, type ReplicaSets, replicaSets, replicationControllers, viewAsSets } from "./kinds.ts";
import { byDispensability } from "./ranking.ts";
import { type Failure, nextAvailable, statusOf } from "./status.ts";

/** At most so many pods are created or deleted before the cache has to show it. */
const burst = 500;

/** Keeps the number of pods of each ReplicaSet at what its spec says, and tells in its status how many there are. */
export const startReplicaSetController = (context: ControllerContext): Component =>
  startReplicaController(context, replicaSets, context.informers.of(resources.ReplicaSet, controllerIndex));

/** The same for ReplicationControllers. */
export const startReplicationController = (context: ControllerContext): Component =>
  startReplicaController(context, replicationControllers, viewAsSets(context.informers));

function startReplicaController(context: ControllerContext, kind: ReplicaKind, sets: ReplicaSets): Component {
  const { clock, informers } = context;
  const writes = rememberWrites(context.client, [kind.resource], clock);
  const { client } = writes;
  const pods = informers.of(resources.Pod, controllerIndex);
  const expectations = createExpectations(clock);
  const events = createEventRecorder(client, { ...context, component: `${kind.name}-controller` });

  const create = async (set: ReplicaSet): Promise<void> => {
    const pod = await client.create(resources.Pod, podDraft(set, kind.resource, set.spec.template));
    events.event(set, "Normal", "SuccessfulCreate", `Created pod: ${pod.metadata.name}`);
  };

  /** Returns the first failure. */
  const createAll = async (set: ReplicaSet, count: number): Promise<Failure | undefined> => {
    const key = keyOf(set);
    expectations.expectCreations(key, count);
    const { failed, skipped, error } = await slowStart(count, () => create(set));
    for (let i = 0; i < failed + skipped; i++) expectations.created(key);
    // A namespace that goes away takes its ReplicaSets along: nothing to report.
    if (error === undefined || isNamespaceTerminating(error)) return undefined;
    const message = messageOf(error);
    events.event(set, "Warning", "FailedCreate", `Error creating: ${message}`);
    return { reason: "FailedCreate", message };
  };

  const removeAll = async (set: ReplicaSet, victims: readonly Pod[]): Promise<Failure | undefined> => {
    const key = keyOf(set);
    expectations.expectDeletions(key, victims.map(uidOf));
    const remove = async (pod: Pod): Promise<Failure | undefined> => {
      try {
        await client.delete(resources.Pod, nameOfKey(keyOf(pod)), { preconditions: { uid: uidOf(pod) } });
        events.event(set, "Normal", "SuccessfulDelete", `Deleted pod: ${pod.metadata.name}`);
        return undefined;
      } catch (error) {
        expectations.deleted(key, uidOf(pod));
        if (isStatus(error, "NotFound", "Conflict")) return undefined;
        events.event(set, "Warning", "FailedDelete", `Error deleting: ${messageOf(error)}`);
        return { reason: "FailedDelete", message: messageOf(error) };
      }
    };
    const results = await Promise.all(victims.map(remove));
    return results.find((failure) => failure !== undefined);
  };

  /** How many pods of this ReplicaSet and its siblings (of one Deployment) a node has. */
  const crowdOf = (set: ReplicaSet): ((nodeName: string | undefined) => number) => {
    const owner = controllerOf(set)?.uid;
    const siblings = owner ? sets.by("controller", owner) : [set];
    const counts = new Map<string, number>();
    for (const pod of siblings.flatMap((sibling) => pods.by("controller", uidOf(sibling)))) {
      const node = pod.spec.nodeName;
      if (node && isActive(pod)) counts.set(node, (counts.get(node) ?? 0) + 1);
    }
    return (nodeName) => counts.get(nodeName ?? "") ?? 0;
  };

  const scale = async (set: ReplicaSet, active: readonly Pod[]): Promise<Failure | undefined> => {
    const difference = (set.spec.replicas ?? 1) - active.length;
    if (difference > 0) return createAll(set, Math.min(difference, burst));
    if (difference === 0) return undefined;
    const ranked = byDispensability(active, crowdOf(set), clock.now());
    return removeAll(set, ranked.slice(0, Math.min(-difference, burst)));
  };

  const reconcile = async (key: string) => {
    const set = sets.get(nameOfKey(key));
    if (!set) return expectations.forget(key);
    if (writes.isBehind(set)) return undefined;
    const current = expectations.satisfied(key);
    const orphans = pods.by("controller", orphansIn(set.metadata.namespace)).filter(isActive);
    const claim = claimOf(set, set.spec.selector, pods.by("controller", uidOf(set)), orphans);
    const all = await carryOut(client, resources.Pod, kind.resource, set, claim);
    const leaving = set.metadata.deletionTimestamp !== undefined;
    const failure = current && !leaving ? await scale(set, all.filter(isActive)) : undefined;
    const status = statusOf(set, all, current ? failure : failureIn(set), clock.now());
    if (!semanticEqual(kind.statusOf(status), set.status)) {
      if (!(await unless(kind.write(client, set, status), "NotFound"))) return undefined;
    }
    if (failure) throw new Error(failure.message);
    const again = nextAvailable(set, all, clock.now());
    return again === undefined ? undefined : { again };
  };

  const controller = startController({
    ...context,
    name: kind.name,
    reconcile,
    concurrency: 5,
    after: [sets.synced, pods.synced],
  });

  sets.onChange(({ before, after }) => {
    const set = after ?? before;
    if (!set) return;
    // Another of the same name begins with nothing.
    if (!after) {
      expectations.forget(keyOf(set));
      writes.forget(set);
    }
    controller.enqueue(keyOf(set));
  });
  followPods(sets, pods, expectations, (key) =>
    controller.enqueueAfter(key, batchPeriod(sets.get(nameOfKey(key))?.spec.replicas ?? 0)),
  );
  pods.onChange(({ after }) => {
    if (after && isActive(after)) for (const key of adoptersOf(sets, after)) controller.enqueue(key);
  });
  return controller;
}

/** The failure that the status tells of: kept while the cache is too old for another attempt. */
function failureIn(set: ReplicaSet): Failure | undefined {
  const condition = set.status?.conditions?.find(({ type }) => type === "ReplicaFailure");
  if (!condition) return undefined;
  return { reason: condition.reason as Failure["reason"], message: condition.message ?? "" };
}
