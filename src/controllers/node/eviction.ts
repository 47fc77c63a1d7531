import { createEventRecorder, setPodCondition, startController, unless } from "../../client/index.ts";
import { keyOf, nameOfKey, type Node, parseTime, type Pod, resources } from "../../kube/index.ts";
import { tolerationCovers } from "../../scheduler/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";
import { nodeIndex } from "./pods-on-node.ts";

/**
 * When a pod has to leave its node because of `NoExecute` taints, in milliseconds since the epoch: at once (0) when it does
 * not tolerate one, else when the shortest `tolerationSeconds` has passed since the taint was set or, where it doesn't say,
 * was `seen`. Undefined: it may stay.
 */
export function evictionTime(pod: Pod, node: Node, seen: number): number | undefined {
  let earliest: number | undefined;
  for (const taint of node.spec.taints ?? []) {
    if (taint.effect !== "NoExecute") continue;
    const covering = (pod.spec.tolerations ?? []).filter((toleration) => tolerationCovers(toleration, taint));
    if (covering.length === 0) return 0;
    const seconds = covering.flatMap(({ tolerationSeconds }) => tolerationSeconds ?? []);
    if (seconds.length === 0) continue;
    const at = (parseTime(taint.timeAdded ?? "") ?? seen) + Math.max(0, Math.min(...seconds)) * 1000;
    earliest = Math.min(at, earliest ?? Infinity);
  }
  return earliest;
}

/** Deletes pods from nodes with `NoExecute` taints that they don't tolerate, or no longer. */
export function startTaintEviction(context: ControllerContext): Component {
  const { client, clock, informers } = context;
  const nodes = informers.of(resources.Node);
  const pods = informers.of(resources.Pod, nodeIndex);
  const events = createEventRecorder(client, { ...context, component: "taint-eviction-controller" });

  /** Since when pods have been on a node with taints that they tolerate for a while. */
  const seen = new Map<string, number>();

  const evict = async (pod: Pod): Promise<void> => {
    const condition = {
      type: "DisruptionTarget",
      status: "True",
      reason: "DeletionByTaintManager",
      message: "Taint manager: deleting due to NoExecute taint",
    };
    if (!(await setPodCondition(client, pod, condition, clock.now()))) return;
    events.event(pod, "Normal", "TaintManagerEviction", `Marking for deletion Pod ${keyOf(pod)}`);
    const { uid } = pod.metadata;
    await unless(
      client.delete(resources.Pod, nameOfKey(keyOf(pod)), uid ? { preconditions: { uid } } : {}),
      "NotFound",
    );
  };

  const reconcile = async (key: string) => {
    const pod = pods.get(nameOfKey(key));
    const node = pod?.spec.nodeName ? nodes.get({ name: pod.spec.nodeName }) : undefined;
    if (!pod || !node || pod.metadata.deletionTimestamp) {
      seen.delete(key);
      return undefined;
    }
    const since = seen.get(key) ?? clock.now();
    const at = evictionTime(pod, node, since);
    if (at === undefined) {
      seen.delete(key);
      return undefined;
    }
    seen.set(key, since);
    if (at > clock.now()) return { again: at - clock.now() };
    await evict(pod);
    return undefined;
  };

  const controller = startController({
    ...context,
    name: "taint eviction",
    reconcile,
    concurrency: 8,
    after: [nodes.synced, pods.synced],
  });
  const hasTaint = (node: Node | undefined) => node?.spec.taints?.some(({ effect }) => effect === "NoExecute") ?? false;
  nodes.onChange(({ before, after }) => {
    if (after && (hasTaint(after) || hasTaint(before)))
      for (const pod of pods.by("node", after.metadata.name)) controller.enqueue(keyOf(pod));
  });
  pods.onChange(({ before, after }) => {
    if (before && !after) seen.delete(keyOf(before));
    if (after?.spec.nodeName && hasTaint(nodes.get({ name: after.spec.nodeName }))) controller.enqueue(keyOf(after));
  });
  return controller;
}
