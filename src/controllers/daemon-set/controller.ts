import { createEventRecorder, messageOf, startController, unless } from "../../client/index.ts";
import {
  type DaemonSet,
  isNamespaceTerminating,
  keyOf,
  nameOfKey,
  type Node,
  type Pod,
  requirementsOf,
  resources,
  semanticEqual,
} from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";
import { carryOut, claimOf, controllerIndex, orphansIn, uidOf } from "../owners.ts";
import { rememberWrites } from "../own-writes.ts";
import { adoptersOf, followPods } from "../pod-owners.ts";
import { createExpectations } from "../expectations.ts";
import { followRevisions, keepRevisions, revisionLabel, trimRevisions } from "../revisions/revisions.ts";
import { slowStart } from "../slow-start.ts";
import { daemonPod, nodeOf, standingOf } from "./placement.ts";
import { type Place, planOf } from "./plan.ts";
import { nextAvailable, statusOf } from "./status.ts";

/** At most so many pods are made or removed before the cache has to show it. */
const burst = 250;
/** Milliseconds that a node waits after the first failed pod until the next, doubled with each, and at most. */
const backOff = { first: 1000, most: 900_000 };

/** Keeps one pod of each DaemonSet on each node that it wants: upstream's daemonset controller. */
export function startDaemonSetController(context: ControllerContext): Component {
  const { clock, informers } = context;
  const writes = rememberWrites(context.client, [resources.DaemonSet, resources.ControllerRevision], clock);
  const { client } = writes;
  const sets = informers.of(resources.DaemonSet);
  const nodes = informers.of(resources.Node);
  const pods = informers.of(resources.Pod, controllerIndex);
  const revisions = informers.of(resources.ControllerRevision, controllerIndex);
  const expectations = createExpectations(clock);
  const events = createEventRecorder(client, { ...context, component: "daemonset-controller" });
  /** By set and node: how often its pod has failed lately. */
  const failures = new Map<string, { readonly count: number; readonly at: number }>();

  const create = async (set: DaemonSet, where: readonly string[], hash: string): Promise<void> => {
    const key = keyOf(set);
    const some = where.slice(0, burst);
    expectations.expectCreations(key, some.length);
    const { failed, skipped, error } = await slowStart(some.length, async (i) => {
      const pod = await client.create(resources.Pod, daemonPod(set, some[i] ?? "", hash));
      events.event(set, "Normal", "SuccessfulCreate", `Created pod: ${pod.metadata.name}`);
    });
    for (let i = 0; i < failed + skipped; i++) expectations.created(key);
    if (error === undefined || isNamespaceTerminating(error)) return;
    events.event(set, "Warning", "FailedCreate", `Error creating: ${messageOf(error)}`);
    throw error;
  };

  const removeAll = async (set: DaemonSet, victims: readonly Pod[]): Promise<void> => {
    const key = keyOf(set);
    const some = victims.slice(0, burst);
    expectations.expectDeletions(key, some.map(uidOf));
    await Promise.all(
      some.map(async (pod) => {
        const preconditions = { uid: uidOf(pod) };
        try {
          await unless(client.delete(resources.Pod, nameOfKey(keyOf(pod)), { preconditions }), "NotFound");
          events.event(set, "Normal", "SuccessfulDelete", `Deleted pod: ${pod.metadata.name}`);
        } catch (error) {
          expectations.deleted(key, uidOf(pod));
          events.event(set, "Warning", "FailedDelete", `Error deleting: ${messageOf(error)}`);
          throw error;
        }
      }),
    );
  };

  /** Milliseconds that a pod that has failed stays, so that one that fails at once is not made over and over; 0: it may go. */
  const restIn = (set: DaemonSet, pod: Pod): number => {
    const id = `${uidOf(set)} ${nodeOf(pod)}`;
    const now = clock.now();
    const known = failures.get(id);
    const pause = known ? Math.min(backOff.most, backOff.first * 2 ** Math.min(known.count - 1, 20)) : 0;
    if (known && known.at + pause > now) return known.at + pause - now;
    const again = known !== undefined && now - known.at < 2 * backOff.most;
    failures.set(id, { count: again ? known.count + 1 : 1, at: now });
    return 0;
  };

  const placesOf = (set: DaemonSet, all: readonly Pod[]): Place[] => {
    const byNode = new Map<string, Pod[]>();
    for (const pod of all) {
      const node = nodeOf(pod) ?? "";
      byNode.set(node, [...(byNode.get(node) ?? []), pod]);
    }
    return nodes.list().map((node) => {
      const { name } = node.metadata;
      return { node: name, ...standingOf(set, node), pods: byNode.get(name) ?? [] };
    });
  };

  const reconcile = async (key: string) => {
    const set = sets.get(nameOfKey(key));
    if (!set) return expectations.forget(key);
    if (requirementsOf(set.spec.selector).length === 0) {
      const text = "This daemon set is selecting all pods. A non-empty selector is required.";
      events.event(set, "Warning", "SelectingAll", text);
      return undefined;
    }
    const ownRevisions = revisions.by("controller", uidOf(set));
    if (writes.isBehind(set) || ownRevisions.some((one) => writes.isBehind(one))) return undefined;
    const current = expectations.satisfied(key);
    const { namespace } = set.metadata;
    const orphans = pods.by("controller", orphansIn(namespace));
    const claim = claimOf(set, set.spec.selector, pods.by("controller", uidOf(set)), orphans);
    const all = await carryOut(client, resources.Pod, resources.DaemonSet, set, claim);
    const past = claimOf(set, set.spec.selector, ownRevisions, revisions.by("controller", orphansIn(namespace)));
    const known = await carryOut(client, resources.ControllerRevision, resources.DaemonSet, set, {
      ...past,
      kept: ownRevisions,
      release: [],
    });
    if (set.metadata.deletionTimestamp) return undefined;
    const { update, all: history, collisionCount } = await keepRevisions(client, resources.DaemonSet, set, known);
    const hash = update.metadata.labels?.[revisionLabel] ?? "";
    const now = clock.now();
    const places = placesOf(set, all);
    const status = statusOf(set, places, hash, collisionCount, now);
    if (!semanticEqual(status, set.status)) {
      if (!(await unless(client.updateStatus(resources.DaemonSet, { ...set, status }), "NotFound"))) return undefined;
    }
    let wait = nextAvailable(set, places, now);
    if (current) {
      const plan = planOf(set, places, { hash, now });
      const resting = new Set<Pod>();
      for (const pod of plan.ended) {
        const rest = pod.status?.phase === "Failed" ? restIn(set, pod) : 0;
        if (rest > 0) {
          resting.add(pod);
          wait = Math.min(wait ?? Infinity, rest);
          continue;
        }
        const [type, reason, how] =
          pod.status?.phase === "Failed"
            ? (["Warning", "FailedDaemonPod", "failed daemon pod %, will try to kill it"] as const)
            : (["Normal", "SucceededDaemonPod", "succeeded daemon pod %, will try to delete it"] as const);
        events.event(set, type, reason, `Found ${how.replace("%", `${keyOf(pod)} on node ${nodeOf(pod)}`)}`);
      }
      await removeAll(
        set,
        plan.remove.filter((pod) => !resting.has(pod)),
      );
      await create(set, plan.create, hash);
    }
    const live = new Set([hash, ...all.map(({ metadata }) => metadata.labels?.[revisionLabel])]);
    await trimRevisions(client, set, history, ({ metadata }) => live.has(metadata.labels?.[revisionLabel]));
    return wait === undefined ? undefined : { again: wait };
  };

  const controller = startController({
    ...context,
    name: "daemonset",
    reconcile,
    concurrency: 2,
    after: [sets.synced, nodes.synced, pods.synced, revisions.synced],
  });
  sets.onChange(({ before, after }) => {
    const set = after ?? before;
    if (!set) return;
    if (!after) {
      expectations.forget(keyOf(set));
      writes.forget(set);
      for (const id of failures.keys()) if (id.startsWith(`${uidOf(set)} `)) failures.delete(id);
    }
    controller.enqueue(keyOf(set));
  });
  nodes.onChange(({ before, after }) => {
    if (before && after && semanticEqual(placementOf(before), placementOf(after))) return;
    for (const set of sets.list()) controller.enqueue(keyOf(set));
  });
  const wake = (key: string) => controller.enqueue(key);
  followPods(sets, pods, expectations, wake);
  pods.onChange(({ after }) => {
    if (after) for (const key of adoptersOf(sets, after)) controller.enqueue(key);
  });
  followRevisions(sets, revisions, writes, wake);
  return controller;
}

/** What of a node says which pods it takes. */
const placementOf = ({ metadata, spec }: Node) => ({ labels: metadata.labels, taints: spec.taints });
