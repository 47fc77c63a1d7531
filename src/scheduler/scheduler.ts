import {
  createEventRecorder,
  type Client,
  type Informers,
  messageOf,
  setPodCondition,
  startController,
} from "../client/index.ts";
import {
  findCondition,
  includesLabels,
  isStatus,
  keyOf,
  nameOfKey,
  type Pod,
  resources,
  semanticEqual,
  type Service,
} from "../kube/index.ts";
import type { Clock, Component, Logger, Metrics } from "../system/index.ts";
import { dropNomination, endVictim } from "./make-room.ts";
import { preempt } from "./preemption.ts";
import { type NoPlace, schedule } from "./schedule.ts";
import { createClusterState } from "./state.ts";
import type { Surroundings } from "./surroundings.ts";
import { createVolumeBinder } from "./volume-binder.ts";
import { planVolumes } from "./volumes.ts";

export interface SchedulerOptions {
  readonly client: Client;
  /** Shared with the other parts of the process. */
  readonly informers: Informers;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Told of the queue. */
  readonly metrics?: Metrics;
}

const name = "default-scheduler";

/** Milliseconds before a pod that found no place is tried again after a change: doubling with each failure. */
const firstDelay = 100;
const longestDelay = 10_000;
/** Milliseconds after which it is tried without any change. */
const patience = 300_000;
/** Milliseconds that the volumes of a pod which has found its node may take. */
const volumePatience = 600_000;

/**
 * Binds pods that have no node to the best node, once their volumes are bound, and says in events and conditions why it can't.
 * For one of higher priority it ends others that are in its way.
 */
export function startScheduler(options: SchedulerOptions): Component {
  const { client, clock, informers } = options;
  const pods = informers.of(resources.Pod);
  const nodes = informers.of(resources.Node);
  const services = informers.of(resources.Service);
  const namespaces = informers.of(resources.Namespace);
  const budgets = informers.of(resources.PodDisruptionBudget);
  const volumes = createVolumeBinder(client, informers);
  const events = createEventRecorder(client, { ...options, component: name });
  const state = createClusterState();
  /** Pods that found no place: how often, and when last. */
  const waiting = new Map<string, { failures: number; at: number }>();
  /** Pods that have found their node and wait for their volumes, until when. */
  const chosen = new Map<string, { readonly uid: string; readonly nodeName: string; readonly until: number }>();

  const surroundings: Surroundings = {
    storage: volumes.storage,
    namespaceLabels: (namespace) => namespaces.get({ name: namespace })?.metadata.labels,
    relatedTo: (pod) => {
      const { namespace } = pod.metadata;
      const owner = ownerOf(pod);
      const serving = services.list(namespace).filter((service) => selects(service, pod));
      return (other) => {
        if (namespace !== other.metadata.namespace || other.metadata.deletionTimestamp) return false;
        return (owner !== undefined && owner === ownerOf(other)) || serving.some((service) => selects(service, other));
      };
    },
  };

  const fail = async (pod: Pod, reason: string, message: string, nominatedNodeName?: string): Promise<void> => {
    const old = findCondition(pod.status?.conditions, "PodScheduled");
    const says = old?.status === "False" && old.reason === reason && old.message === message;
    if (says && (pod.status?.nominatedNodeName ?? "") === (nominatedNodeName ?? "")) return;
    const condition = { type: "PodScheduled", status: "False", reason, message };
    const room = nominatedNodeName ?? (pod.status?.nominatedNodeName ? null : undefined);
    const more = room === undefined ? {} : ({ nominatedNodeName: room } as { nominatedNodeName: string });
    await setPodCondition(client, pod, condition, clock.now(), more);
  };

  /** Says why a pod has no place, and ends pods of lower priority where that helps. */
  const makeRoom = async (pod: Pod, { message, objections }: NoPlace): Promise<void> => {
    const infos = state.nodes();
    const found = infos.length > 0 ? preempt(pod, infos, objections, surroundings, budgets.list()) : undefined;
    if (!found || "message" in found) {
      const text = found ? `${message} preemption: ${found.message}` : message;
      events.event(pod, "Warning", "FailedScheduling", text);
      if (!found?.waits) state.nominate(pod, undefined);
      return fail(pod, "Unschedulable", text, found?.waits ? pod.status?.nominatedNodeName : undefined);
    }
    const { nodeName, victims, outranked } = found;
    // At once, so that nobody else is put there.
    state.nominate(pod, nodeName);
    for (const other of outranked) state.nominate(other, undefined);
    events.event(pod, "Warning", "FailedScheduling", message);
    await fail(pod, "Unschedulable", message, nodeName);
    await Promise.all([
      ...victims.map((victim) => endVictim(victim, pod, { client, events, clock })),
      ...outranked.map((other) => dropNomination(other, client)),
    ]);
  };

  const bind = async (pod: Pod, nodeName: string): Promise<void> => {
    const { namespace = "", name: podName, uid = "" } = pod.metadata;
    const target = { apiVersion: "v1", kind: "Node", name: nodeName };
    const body = { apiVersion: "v1", kind: "Binding", metadata: { namespace, name: podName, uid }, target };
    state.assume(pod, nodeName);
    try {
      await client.createSubresource(resources.Pod, { namespace, name: podName }, "binding", body);
    } catch (error) {
      state.forget(uid);
      // Gone, or bound by someone else: what the informer shows next decides.
      if (isStatus(error, "NotFound", "Conflict")) return;
      events.event(pod, "Warning", "FailedScheduling", `binding to ${nodeName}: ${messageOf(error)}`);
      throw error;
    }
    events.event(pod, "Normal", "Scheduled", `Successfully assigned ${namespace}/${podName} to ${nodeName}`);
  };

  /** Gives up the node that a pod had found. */
  const giveUp = (key: string): void => {
    const { uid } = chosen.get(key) ?? {};
    chosen.delete(key);
    volumes.end(key);
    if (uid !== undefined) state.forget(uid);
  };

  /** Binds a pod that waits for its volumes when they are there. */
  const settle = async (pod: Pod, key: string, nodeName: string, until: number) => {
    const progress = volumes.progress(pod);
    const left = until - clock.now();
    if (progress === "waits" && left > 0) return { again: left };
    giveUp(key);
    if (progress === "bound") await bind(pod, nodeName);
    else
      events.event(
        pod,
        "Warning",
        "FailedScheduling",
        'running PreBind plugin "VolumeBinding": binding volumes: its claims were not bound',
      );
    return progress === "bound" ? undefined : { again: firstDelay };
  };

  const reconcile = async (key: string) => {
    const pod = pods.get(nameOfKey(key));
    const held = chosen.get(key);
    if (held && (!pod || pod.metadata.uid !== held.uid || !wantsPlace(pod))) giveUp(key);
    if (!pod || !wantsPlace(pod)) {
      waiting.delete(key);
      return undefined;
    }
    if (held && chosen.has(key)) return settle(pod, key, held.nodeName, held.until);
    if (pod.spec.schedulingGates?.length) {
      await fail(pod, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates");
      return undefined;
    }
    const infos = state.nodes();
    const placement = schedule(pod, infos, surroundings);
    if ("nodeName" in placement) {
      waiting.delete(key);
      const { nodeName } = placement;
      const node = infos.find((info) => info.node.metadata.name === nodeName)?.node;
      const plan = node && planVolumes(pod, node, volumes.storage);
      if (!plan || plan.bind.length + plan.provision.length === 0) {
        await bind(pod, nodeName);
        return undefined;
      }
      const until = clock.now() + volumePatience;
      state.assume(pod, nodeName);
      chosen.set(key, { uid: pod.metadata.uid ?? "", nodeName, until });
      try {
        await volumes.begin(pod, plan);
      } catch (error) {
        giveUp(key);
        if (isStatus(error, "Conflict", "NotFound")) return { again: firstDelay };
        throw error;
      }
      return settle(pod, key, nodeName, until);
    }
    const failures = (waiting.get(key)?.failures ?? 0) + 1;
    waiting.set(key, { failures, at: clock.now() });
    await makeRoom(pod, placement);
    return { again: patience };
  };

  const controller = startController({
    ...options,
    name: "scheduler",
    reconcile,
    // Choosing is synchronous, so two never take the same place; only binding waits.
    concurrency: 16,
    after: [pods.synced, nodes.synced, services.synced, namespaces.synced, budgets.synced, ...volumes.synced],
  });

  /** Something changed that may make room. */
  const retryWaiting = (): void => {
    for (const [key, { failures, at }] of waiting) {
      const delay = Math.min(longestDelay, firstDelay * 2 ** Math.min(failures - 1, 20));
      controller.enqueueAfter(key, at + delay - clock.now());
    }
  };

  volumes.onChange((podKey) => {
    if (podKey === undefined) retryWaiting();
    else controller.enqueue(podKey);
  });
  nodes.onChange(({ before, after }) => {
    if (after) state.setNode(after);
    else if (before) state.removeNode(before.metadata.name);
    const matters =
      !before ||
      !semanticEqual(before.spec, after?.spec) ||
      !semanticEqual(before.metadata.labels, after?.metadata.labels) ||
      !semanticEqual(before.status?.allocatable, after?.status?.allocatable) ||
      readinessOf(before.status?.conditions) !== readinessOf(after?.status?.conditions);
    if (after && matters) retryWaiting();
  });
  pods.onChange(({ before, after }) => {
    const pod = after ?? before;
    if (!pod) return;
    if (after) state.setPod(after);
    else state.removePod(pod.metadata.uid ?? "");
    const changed =
      !before ||
      !semanticEqual(before.spec, after?.spec) ||
      !semanticEqual(before.metadata.labels, after?.metadata.labels);
    if (!after) waiting.delete(keyOf(pod));
    if (after && wantsPlace(after)) {
      // Its own status says nothing new.
      if (changed) controller.enqueue(keyOf(after));
    } else if (changed || isDone(after) !== isDone(before)) retryWaiting();
  });
  return controller;
}

const readinessOf = (conditions: readonly { type: string; status: string }[] | undefined): string | undefined =>
  findCondition(conditions, "Ready")?.status;

const isDone = (pod: Pod | undefined): boolean =>
  !pod || pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";

/** True for pods that are this scheduler's to place. */
function wantsPlace({ metadata, spec, status }: Pod): boolean {
  const mine = (spec.schedulerName ?? name) === name;
  return (
    mine && !spec.nodeName && !metadata.deletionTimestamp && status?.phase !== "Failed" && status?.phase !== "Succeeded"
  );
}

const ownerOf = (pod: Pod): string | undefined =>
  pod.metadata.ownerReferences?.find(({ controller }) => controller)?.uid;

const selects = ({ spec }: Service, { metadata }: Pod): boolean =>
  Object.keys(spec?.selector ?? {}).length > 0 && includesLabels(spec?.selector, metadata.labels);
