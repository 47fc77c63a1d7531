import { createEventRecorder, type Client, type Informers, messageOf, startController } from "../client/index.ts";
import {
  findCondition,
  formatTime,
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
import { schedule } from "./schedule.ts";
import { createClusterState } from "./state.ts";
import type { Surroundings } from "./surroundings.ts";

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

/** Binds pods that have no node to the best node, and says in events and conditions why it can't. */
export function startScheduler(options: SchedulerOptions): Component {
  const { client, clock, informers } = options;
  const pods = informers.of(resources.Pod);
  const nodes = informers.of(resources.Node);
  const services = informers.of(resources.Service);
  const namespaces = informers.of(resources.Namespace);
  const events = createEventRecorder(client, { ...options, component: name });
  const state = createClusterState();
  /** Pods that found no place: how often, and when last. */
  const waiting = new Map<string, { failures: number; at: number }>();

  const surroundings: Surroundings = {
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

  const fail = async (pod: Pod, reason: string, message: string): Promise<void> => {
    const conditions = pod.status?.conditions ?? [];
    const old = findCondition(conditions, "PodScheduled");
    if (old?.status === "False" && old.reason === reason && old.message === message) return;
    const now = formatTime(clock.now());
    const lastTransitionTime = old?.status === "False" ? (old.lastTransitionTime ?? now) : now;
    const condition = { type: "PodScheduled", status: "False", reason, message, lastTransitionTime };
    const { resourceVersion } = pod.metadata;
    const body = {
      metadata: { resourceVersion },
      status: { conditions: [...conditions.filter(({ type }) => type !== "PodScheduled"), condition] },
    };
    await client.patch(resources.Pod, nameOfKey(keyOf(pod)), { type: "merge", body }, { subresource: "status" });
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

  const reconcile = async (key: string) => {
    const pod = pods.get(nameOfKey(key));
    if (!pod || !wantsPlace(pod)) {
      waiting.delete(key);
      return undefined;
    }
    if (pod.spec.schedulingGates?.length) {
      await fail(pod, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates");
      return undefined;
    }
    const placement = schedule(pod, state.nodes(), surroundings);
    if ("nodeName" in placement) {
      await bind(pod, placement.nodeName);
      waiting.delete(key);
      return undefined;
    }
    const failures = (waiting.get(key)?.failures ?? 0) + 1;
    waiting.set(key, { failures, at: clock.now() });
    events.event(pod, "Warning", "FailedScheduling", placement.message);
    await fail(pod, "Unschedulable", placement.message);
    return { again: patience };
  };

  const controller = startController({
    ...options,
    name: "scheduler",
    reconcile,
    // Choosing is synchronous, so two never take the same place; only binding waits.
    concurrency: 16,
    after: [pods.synced, nodes.synced, services.synced, namespaces.synced],
  });

  /** Something changed that may make room. */
  const retryWaiting = (): void => {
    for (const [key, { failures, at }] of waiting) {
      const delay = Math.min(longestDelay, firstDelay * 2 ** Math.min(failures - 1, 20));
      controller.enqueueAfter(key, at + delay - clock.now());
    }
  };

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
