import { setPodCondition, startController, unless } from "../../client/index.ts";
import { keyOf, nameOfKey, type Pod, resources } from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";
import { isTerminal } from "../pods.ts";
import { nodeIndex } from "./pods-on-node.ts";

/** Milliseconds that a node may be missing before its pods are given up: it may just be registering again. */
const quarantine = 40_000;

/** Removes pods that nobody will end: those of nodes that are gone, and those that leave without ever having had a node. */
export function startPodGarbageCollector(context: ControllerContext): Component {
  const { client, clock, informers } = context;
  const nodes = informers.of(resources.Node);
  const pods = informers.of(resources.Pod, nodeIndex);
  /** Since when a node has been missing. */
  const missing = new Map<string, number>();

  const remove = async (pod: Pod, message: string): Promise<void> => {
    if (!isTerminal(pod)) {
      const condition = { type: "DisruptionTarget", status: "True", reason: "DeletionByPodGC", message };
      if (!(await setPodCondition(client, pod, condition, clock.now(), { phase: "Failed" }))) return;
    }
    const { uid } = pod.metadata;
    const options = { gracePeriodSeconds: 0, ...(uid ? { preconditions: { uid } } : {}) };
    await unless(client.delete(resources.Pod, nameOfKey(keyOf(pod)), options), "NotFound");
  };

  /** Keys are node names; "" stands for pods without a node. */
  const reconcile = async (nodeName: string) => {
    const all = pods.by("node", nodeName);
    if (nodeName === "") {
      const leaving = all.filter(({ metadata }) => metadata.deletionTimestamp);
      await Promise.all(leaving.map((pod) => remove(pod, "PodGC: pod was deleted before it had a node")));
      return undefined;
    }
    if (all.length === 0 || nodes.get({ name: nodeName })) {
      missing.delete(nodeName);
      return undefined;
    }
    const since = missing.get(nodeName) ?? clock.now();
    missing.set(nodeName, since);
    const left = since + quarantine - clock.now();
    if (left > 0) return { again: left };
    const node = await unless(client.get(resources.Node, { name: nodeName }), "NotFound");
    if (!node) await Promise.all(all.map((pod) => remove(pod, "PodGC: node no longer exists")));
    return undefined;
  };

  const controller = startController({
    ...context,
    name: "pod garbage",
    reconcile,
    after: [nodes.synced, pods.synced],
  });
  nodes.onChange(({ before, after }) => controller.enqueue((after ?? before)?.metadata.name ?? ""));
  pods.onChange(({ after }) => {
    if (!after) return;
    const { nodeName = "" } = after.spec;
    if (nodeName ? !nodes.get({ name: nodeName }) : after.metadata.deletionTimestamp) controller.enqueue(nodeName);
  });
  return controller;
}
