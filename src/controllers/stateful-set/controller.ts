import { createEventRecorder, messageOf, startController, unless } from "../../client/index.ts";
import {
  isNamespaceTerminating,
  keyOf,
  nameOfKey,
  type Pod,
  resources,
  semanticEqual,
  type StatefulSet,
} from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";
import { carryOut, claimOf, controllerIndex, orphansIn, uidOf } from "../owners.ts";
import { rememberWrites } from "../own-writes.ts";
import { adoptersOf, followPods } from "../pod-owners.ts";
import { createExpectations } from "../expectations.ts";
import { followRevisions, keepRevisions, type Revisions, templateOf, trimRevisions } from "../revisions/revisions.ts";
import { type ClaimContext, leavingClaims, makeClaims, ownClaims } from "./claims.ts";
import { firstOrdinal, identityOf, ordinalOf, podName, sizeOf, statefulPod } from "./identity.ts";
import { isHeldBack, planOf, revisionOf } from "./plan.ts";
import { statusOf } from "./status.ts";

/** Keeps the pods of StatefulSets, each with a name, volumes and place in the order of its own: upstream's statefulset controller. */
export function startStatefulSetController(context: ControllerContext): Component {
  const { clock, informers } = context;
  const writes = rememberWrites(context.client, [resources.StatefulSet, resources.ControllerRevision], clock);
  const { client } = writes;
  const sets = informers.of(resources.StatefulSet);
  const pods = informers.of(resources.Pod, controllerIndex);
  const revisions = informers.of(resources.ControllerRevision, controllerIndex);
  const claims = informers.of(resources.PersistentVolumeClaim);
  const expectations = createExpectations(clock);
  const events = createEventRecorder(client, { ...context, component: "statefulset-controller" });
  const claimContext: ClaimContext = { client, claims, events };

  const create = async (set: StatefulSet, ordinal: number, { all, update }: Revisions): Promise<void> => {
    const key = keyOf(set);
    const before = all.find(({ metadata }) => metadata.name === set.status?.currentRevision);
    const revision = isHeldBack(set, ordinal) && before ? before : update;
    const template = revision === update ? set.spec.template : templateOf(revision);
    const name = podName(set, ordinal);
    if (leavingClaims(claimContext, set, ordinal)) return;
    await makeClaims(claimContext, set, ordinal, name);
    expectations.expectCreations(key, 1);
    const about = `create Pod ${name} in StatefulSet ${set.metadata.name}`;
    try {
      await client.create(resources.Pod, statefulPod(set, ordinal, { template, revision: revision.metadata.name }));
      events.event(set, "Normal", "SuccessfulCreate", `${about} successful`);
    } catch (error) {
      expectations.created(key);
      if (!isNamespaceTerminating(error))
        events.event(set, "Warning", "FailedCreate", `${about} failed error: ${messageOf(error)}`);
      throw error;
    }
  };

  const remove = async (set: StatefulSet, pod: Pod): Promise<void> => {
    const key = keyOf(set);
    const uid = uidOf(pod);
    expectations.expectDeletions(key, [uid]);
    const about = `delete Pod ${pod.metadata.name} in StatefulSet ${set.metadata.name}`;
    try {
      await unless(client.delete(resources.Pod, nameOfKey(keyOf(pod)), { preconditions: { uid } }), "NotFound");
      events.event(set, "Normal", "SuccessfulDelete", `${about} successful`);
    } catch (error) {
      expectations.deleted(key, uid);
      events.event(set, "Warning", "FailedDelete", `${about} failed error: ${messageOf(error)}`);
      throw error;
    }
  };

  /** Puts right the labels of a pod by which it is known, and whose its claims are. */
  const keepIdentity = async (set: StatefulSet, pod: Pod): Promise<void> => {
    const ordinal = ordinalOf(set, pod) ?? 0;
    const condemned = ordinal < firstOrdinal(set) || ordinal >= firstOrdinal(set) + sizeOf(set);
    await ownClaims(claimContext, set, ordinal, pod, condemned);
    if (condemned || pod.metadata.deletionTimestamp) return;
    if (pod.status?.phase === "Pending") await makeClaims(claimContext, set, ordinal, pod.metadata.name);
    const { labels } = identityOf(set, ordinal, pod.metadata.labels);
    if (semanticEqual(labels, pod.metadata.labels ?? {})) return;
    const { uid, resourceVersion } = pod.metadata;
    const body = { metadata: { uid, resourceVersion, labels } };
    await unless(client.patch(resources.Pod, nameOfKey(keyOf(pod)), { type: "merge", body }), "NotFound");
  };

  const reconcile = async (key: string) => {
    const set = sets.get(nameOfKey(key));
    if (!set) return expectations.forget(key);
    const ownRevisions = revisions.by("controller", uidOf(set));
    if (writes.isBehind(set) || ownRevisions.some((one) => writes.isBehind(one))) return undefined;
    const current = expectations.satisfied(key);
    const { namespace } = set.metadata;
    const isOwn = (pod: Pod): boolean => ordinalOf(set, pod) !== undefined;
    const orphans = pods.by("controller", orphansIn(namespace)).filter(isOwn);
    const claim = claimOf(set, set.spec.selector, pods.by("controller", uidOf(set)), orphans);
    const all = await carryOut(client, resources.Pod, resources.StatefulSet, set, claim);
    const past = claimOf(set, set.spec.selector, ownRevisions, revisions.by("controller", orphansIn(namespace)));
    const known = await carryOut(client, resources.ControllerRevision, resources.StatefulSet, set, {
      ...past,
      kept: ownRevisions,
      release: [],
    });
    // A set that is being deleted makes nothing any more.
    if (set.metadata.deletionTimestamp) return undefined;
    const history = await keepRevisions(client, resources.StatefulSet, set, known);
    const update = history.update.metadata.name;
    const before = history.all.find(({ metadata }) => metadata.name === set.status?.currentRevision) ?? history.update;
    const plan = planOf(set, all, { update, now: clock.now() });
    const names = { current: before.metadata.name, update };
    const status = statusOf(set, all, names, history.collisionCount, clock.now());
    if (!semanticEqual(status, set.status)) {
      if (!(await unless(client.updateStatus(resources.StatefulSet, { ...set, status }), "NotFound"))) return undefined;
    }
    for (const pod of all) await keepIdentity(set, pod);
    if (current) {
      for (const ordinal of plan.create) await create(set, ordinal, history);
      for (const pod of plan.remove) await remove(set, pod);
    }
    const live = new Set([update, status.currentRevision, ...all.map(revisionOf)]);
    await trimRevisions(client, set, history.all, ({ metadata }) => live.has(metadata.name));
    return plan.wait === undefined ? undefined : { again: plan.wait };
  };

  const controller = startController({
    ...context,
    name: "statefulset",
    reconcile,
    concurrency: 5,
    after: [sets.synced, pods.synced, revisions.synced, claims.synced],
  });
  sets.onChange(({ before, after }) => {
    const set = after ?? before;
    if (!set) return;
    if (!after) {
      expectations.forget(keyOf(set));
      writes.forget(set);
    }
    controller.enqueue(keyOf(set));
  });
  const wake = (key: string) => controller.enqueue(key);
  followPods(sets, pods, expectations, wake);
  pods.onChange(({ after }) => {
    if (after) for (const key of adoptersOf(sets, after)) controller.enqueue(key);
  });
  followRevisions(sets, revisions, writes, wake);
  // A pod whose claim is on its way out waits for its end.
  claims.onChange(({ before, after }) => {
    if (!before || after) return;
    for (const set of sets.list(before.metadata.namespace))
      if (set.spec.volumeClaimTemplates?.length) controller.enqueue(keyOf(set));
  });
  return controller;
}
