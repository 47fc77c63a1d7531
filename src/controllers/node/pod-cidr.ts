import { createEventRecorder, startController } from "../../client/index.ts";
import { formatCidr, type IpFamily, parseCidr, resources } from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";

/** Bits of the prefix that a node gets, by family. */
export type NodePrefix = Readonly<Record<IpFamily, number>>;
const usualPrefix: NodePrefix = { IPv4: 24, IPv6: 64 };

/** The first block of a node's size in `cluster` that is not taken; undefined when there is none. */
export function freeBlock(
  cluster: string,
  taken: ReadonlySet<string>,
  nodePrefix: NodePrefix = usualPrefix,
): string | undefined {
  const whole = parseCidr(cluster);
  if (!whole) throw new RangeError(`"${cluster}" is no CIDR such as 10.42.0.0/16`);
  const prefix = Math.max(whole.prefix, nodePrefix[whole.family]);
  const size = 1n << BigInt((whole.family === "IPv4" ? 32 : 128) - prefix);
  const count = 1n << BigInt(prefix - whole.prefix);
  for (let i = 0n; i < count; i++) {
    const block = formatCidr({ family: whole.family, base: whole.base + i * size, prefix, hostBits: false });
    if (!taken.has(block)) return block;
  }
  return undefined;
}

/**
 * Gives each node a block of pod addresses out of each of `clusterCIDRs`, in its spec, where they stay for the node's life. A node that has
 * one already keeps just that: what it has may not change.
 */
export function startPodCidrAllocator(
  context: ControllerContext & { readonly clusterCIDRs: readonly string[]; readonly nodePrefix?: NodePrefix },
): Component {
  const { client, informers, clusterCIDRs } = context;
  const nodes = informers.of(resources.Node);
  const events = createEventRecorder(client, { ...context, component: "cidrAllocator" });
  /** Given to nodes whose cached spec does not show it yet. */
  const pending = new Map<string, readonly string[]>();

  const reconcile = async (name: string): Promise<void> => {
    const node = nodes.get({ name });
    if (!node || node.spec.podCIDR) {
      pending.delete(name);
      return;
    }
    const taken = new Set([
      ...[...pending.values()].flat(),
      ...nodes.list().flatMap(({ spec }) => spec.podCIDRs ?? spec.podCIDR ?? []),
    ]);
    const podCIDRs =
      pending.get(name) ?? clusterCIDRs.flatMap((range) => freeBlock(range, taken, context.nodePrefix) ?? []);
    if (podCIDRs.length < clusterCIDRs.length) {
      events.event(node, "Normal", "CIDRNotAvailable", `Node ${name} status is now: CIDRNotAvailable`);
      throw new Error(`no block of ${clusterCIDRs.join(" or ")} is left for node ${name}: use a larger range`);
    }
    pending.set(name, podCIDRs);
    const body = {
      metadata: { uid: node.metadata.uid },
      spec: { podCIDR: podCIDRs[0] ?? "", podCIDRs: [...podCIDRs] },
    };
    await client.patch(resources.Node, { name }, { type: "merge", body });
  };

  const controller = startController({ ...context, name: "pod CIDR allocator", reconcile, after: [nodes.synced] });
  nodes.onChange(({ before, after }) => {
    const node = after ?? before;
    if (!after) pending.delete(node?.metadata.name ?? "");
    if (node) controller.enqueue(node.metadata.name);
  });
  return controller;
}
