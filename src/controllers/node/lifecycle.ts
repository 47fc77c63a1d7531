import { createEventRecorder, setPodCondition, startController } from "../../client/index.ts";
import { findCondition, type Node, type Pod, resources } from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";
import { isReady } from "../pods.ts";
import { readinessOf, taintsOf, unknownConditions } from "./conditions.ts";
import { nodeIndex } from "./pods-on-node.ts";

/** Milliseconds without a sign of life after which a node counts as lost. */
const gracePeriod = 40_000;
/** The same for a node that has never given one. */
const startupGracePeriod = 60_000;
/** Milliseconds by which a look at a node may be late before it says more about the one who looks. */
const stall = 20_000;
const leaseNamespace = "kube-node-lease";

/**
 * Watches that nodes are alive, by their Lease and their Ready condition. One that is silent becomes Ready=Unknown; one that
 * is not ready is tainted, and its pods are no longer ready. Signs of life are counted from when they were seen, so clocks may
 * differ and a restart costs no node its pods. When all nodes are lost the fault is more likely here: then no pod is evicted.
 */
export function startNodeLifecycle(context: ControllerContext): Component {
  const { client, clock, informers } = context;
  const nodes = informers.of(resources.Node);
  const leases = informers.of(resources.Lease);
  const pods = informers.of(resources.Pod, nodeIndex);
  const events = createEventRecorder(client, { ...context, component: "node-controller" });
  const lastSign = new Map<string, { sign: string; at: number }>();

  /** When the node gave its last sign of life, as seen from here. */
  const seen = (node: Node): number => {
    const { name } = node.metadata;
    const lease = leases.get({ namespace: leaseNamespace, name });
    const heartbeat = findCondition(node.status?.conditions, "Ready")?.lastHeartbeatTime ?? "";
    const sign = `${lease?.spec.renewTime ?? ""} ${heartbeat}`;
    const known = lastSign.get(name);
    if (known?.sign === sign) return known.at;
    lastSign.set(name, { sign, at: clock.now() });
    return clock.now();
  };

  /** Pods of a node that isn't ready serve nobody. */
  const markPodsNotReady = async (node: Node): Promise<void> => {
    const mark = async (pod: Pod): Promise<void> => {
      const marked = await setPodCondition(client, pod, { type: "Ready", status: "False" }, clock.now());
      if (marked) events.event(pod, "Warning", "NodeNotReady", "Node is not ready");
    };
    await Promise.all(pods.by("node", node.metadata.name).filter(isReady).map(mark));
  };

  const reconcile = async (name: string) => {
    let node = nodes.get({ name });
    if (!node) {
      lastSign.delete(name);
      return undefined;
    }
    const isNew = findCondition(node.status?.conditions, "Ready") === undefined;
    let left = seen(node) + (isNew ? startupGracePeriod : gracePeriod) - clock.now();
    if (left < -stall) {
      // It is we who were away (the machine slept): the node gets its time from now.
      lastSign.delete(name);
      left = seen(node) + gracePeriod - clock.now();
    }
    if (left <= 0 && (isNew || readinessOf(node) !== "Unknown")) {
      events.event(node, "Normal", "NodeNotReady", `Node ${name} status is now: NodeNotReady`);
      const status = { ...node.status, conditions: unknownConditions(node, clock.now()) };
      node = await client.updateStatus(resources.Node, { ...node, status });
    }
    const evict = nodes.list().some((other) => readinessOf(other) === "True");
    const taints = taintsOf(node, evict, clock.now());
    if (taints !== (node.spec.taints ?? taints) || (node.spec.taints === undefined && taints.length > 0)) {
      const { uid, resourceVersion } = node.metadata;
      const body = { metadata: { uid, resourceVersion }, spec: { taints } };
      node = await client.patch(resources.Node, { name }, { type: "merge", body });
    }
    if (!isNew && readinessOf(node) !== "True") await markPodsNotReady(node);
    return left > 0 ? { again: left + 1 } : undefined;
  };

  const controller = startController({
    ...context,
    name: "node lifecycle",
    reconcile,
    concurrency: 4,
    after: [nodes.synced, leases.synced, pods.synced],
  });
  nodes.onChange(({ before, after }) => {
    const node = after ?? before;
    if (!node) return;
    controller.enqueue(node.metadata.name);
    if (after && !before) {
      const { name } = after.metadata;
      events.event(after, "Normal", "RegisteredNode", `Node ${name} event: Registered Node ${name} in Controller`);
    }
    // Whether pods are evicted from one node depends on the others.
    if (!before || !after || readinessOf(before) !== readinessOf(after)) {
      for (const other of nodes.list()) if (readinessOf(other) !== "True") controller.enqueue(other.metadata.name);
    }
  });
  leases.onChange(({ after }) => {
    const { namespace, name } = after?.metadata ?? {};
    if (namespace === leaseNamespace && name) {
      const node = nodes.get({ name });
      if (node) seen(node);
    }
  });
  return controller;
}
