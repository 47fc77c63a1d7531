import {
  isConditionTrue,
  keyOf,
  matchesLabels,
  parseIp,
  type EndpointSlice,
  type IpFamily,
  type Node,
  type Service,
} from "../../kube/index.ts";
import type { AddressClaimSpec, AnnounceSpec } from "../definitions.ts";
import { place, priorityOf } from "./placement.ts";

/** One VRRP instance as a node runs it. */
export interface VrrpInstance {
  /** `v4-17`: family and group. */
  readonly name: string;
  readonly family: IpFamily;
  /** VRRP router id, 1 to 255. */
  readonly group: number;
  readonly addresses: readonly string[];
  /** Absent: the interface of the node's own address. */
  readonly interface?: string;
  readonly advertisementIntervalMs: number;
  readonly priority: number;
  /** Address of the node, and of those that may take over. */
  readonly source: string;
  readonly peers: readonly string[];
  /** Why this node may not hold it now; the instance runs all the same. */
  readonly barred?: string;
  /** This node is the first choice. */
  readonly isPreferred: boolean;
}

/** What a node does about VRRP. */
export interface VipPlan {
  readonly instances: readonly VrrpInstance[];
  /** Addresses of all peers of all instances. */
  readonly peers: readonly string[];
  /** How many groups there are, on how many nodes. */
  readonly groups: number;
  readonly nodes: number;
}

export interface VipState {
  readonly node: string;
  readonly nodes: readonly Node[];
  readonly claims: readonly AddressClaimSpec[];
  /** How the addresses of a pool are announced, by the pool's name. */
  readonly announce: (pool: string) => AnnounceSpec | undefined;
  readonly service: (key: string) => Service | undefined;
  /** Slices of a Service. */
  readonly slices: (key: string) => readonly EndpointSlice[];
  /** Why the data plane of this node cannot take traffic. Undefined: it can. */
  readonly unhealthy?: string;
}

const excluded = "node.kubernetes.io/exclude-from-external-load-balancers";
const defaultIntervalMs = 100;

/**
 * Decides what VRRP instances a node runs, for the addresses of pools that are announced by VRRP. Pure, and the same on all nodes: they agree
 * on groups, peers and priorities because they see the same objects.
 */
export function planVips(state: VipState): VipPlan {
  const self = state.nodes.find(({ metadata }) => metadata.name === state.node);
  const groups = groupsOf(state);
  const byNodes = new Map<string, string[]>();
  const eligible = new Map<string, readonly Node[]>();
  for (const [name, { family, announce }] of groups) {
    const nodes = state.nodes.filter((node) => mayHold(node, family, announce));
    eligible.set(name, nodes);
    const key = nodes.map(({ metadata }) => metadata.name).join(" ");
    byNodes.set(key, [...(byNodes.get(key) ?? []), name]);
  }
  const orders = new Map<string, readonly string[]>();
  for (const [key, names] of byNodes) for (const [name, order] of place(names, key.split(" "))) orders.set(name, order);

  const instances = [...groups].flatMap(([name, { family, announce, claims }]): VrrpInstance[] => {
    const nodes = eligible.get(name) ?? [];
    const order = orders.get(name) ?? [];
    const rank = order.indexOf(state.node);
    const source = self && addressOf(self, family);
    if (rank < 0 || !self || !source) return [];
    const others = nodes.filter((node) => node !== self);
    const barred = state.unhealthy ?? drainReason(self, others) ?? whyNoTraffic(state, claims, announce);
    const [first] = claims;
    return [
      {
        name,
        family,
        group: first?.group ?? 1,
        addresses: claims.map(({ address }) => address),
        ...(announce.interface ? { interface: announce.interface } : {}),
        advertisementIntervalMs: announce.advertisementIntervalMs ?? defaultIntervalMs,
        priority: priorityOf(rank, order.length),
        source,
        peers: others.flatMap((node) => addressOf(node, family) ?? []),
        ...(barred === undefined ? {} : { barred }),
        isPreferred: rank === 0,
      },
    ];
  });
  const peers = [...new Set(instances.flatMap((one) => one.peers))].sort();
  const nodes = Math.max(0, ...[...eligible.values()].map((list) => list.length));
  return { instances, peers, groups: groups.size, nodes };
}

interface Group {
  readonly family: IpFamily;
  readonly announce: AnnounceSpec;
  readonly claims: AddressClaimSpec[];
}

/** Addresses that have an owner and are announced by VRRP, by family and group, each group in the order of addresses. */
function groupsOf({ claims, announce }: VipState): Map<string, Group> {
  const groups = new Map<string, Group>();
  for (const claim of [...claims].sort((a, b) => (a.address < b.address ? -1 : 1))) {
    const how = claim.pool === undefined ? undefined : announce(claim.pool);
    const ip = parseIp(claim.address);
    if (how?.protocol !== "VRRP" || !ip || !claim.group || !claim.owners?.length) continue;
    const name = `${ip.family === "IPv4" ? "v4" : "v6"}-${claim.group}`;
    const group = groups.get(name);
    if (group) group.claims.push(claim);
    else groups.set(name, { family: ip.family, announce: how, claims: [claim] });
  }
  return new Map([...groups].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Whether a node is a peer at all. Whether it lives is for VRRP to find out. */
function mayHold(node: Node, family: IpFamily, { nodeSelector }: AnnounceSpec): boolean {
  if (node.metadata.deletionTimestamp || addressOf(node, family) === undefined) return false;
  const { labels } = node.metadata;
  if (labels?.[excluded] !== undefined) return false;
  return nodeSelector === undefined || matchesLabels(nodeSelector, labels);
}

function addressOf({ status }: Node, family: IpFamily): string | undefined {
  return status?.addresses?.find(({ type, address }) => type === "InternalIP" && parseIp(address)?.family === family)
    ?.address;
}

/** A node that is cordoned or about to go gives up what it holds, as long as there is another. */
function drainReason(node: Node, others: readonly Node[]): string | undefined {
  const leaving = (one: Node): string | undefined => {
    if (one.spec?.unschedulable) return `node ${one.metadata.name} is cordoned`;
    const taint = one.spec?.taints?.find(({ key }) => key === "ToBeDeletedByClusterAutoscaler");
    return taint && `node ${one.metadata.name} is about to be deleted`;
  };
  const stays = others.some((other) => !leaving(other) && isConditionTrue(other.status?.conditions, "Ready"));
  return stays ? leaving(node) : undefined;
}

/** Why no packet to any address of a group would be served on this node. */
function whyNoTraffic(
  state: VipState,
  claims: readonly AddressClaimSpec[],
  { withoutEndpoints }: AnnounceSpec,
): string | undefined {
  let reason: string | undefined;
  for (const owner of claims.flatMap(({ owners }) => owners ?? [])) {
    const key = keyOf({ metadata: owner });
    const service = state.service(key);
    const local = service?.spec.externalTrafficPolicy === "Local";
    // An owner that is no Service is served as long as it has the address.
    if (owner.kind !== "Service" || !service || (!local && withoutEndpoints !== "Withdraw")) return undefined;
    const ready = state
      .slices(key)
      .flatMap(({ endpoints }) => endpoints ?? [])
      .filter(isServing);
    const counted = local ? ready.filter(({ nodeName }) => nodeName === state.node) : ready;
    if (counted.length > 0) return undefined;
    if (local && ready.length === 0 && withoutEndpoints !== "Withdraw") return undefined;
    reason ??= local ? `Service ${key} has no ready endpoint on node ${state.node}` : `Service ${key} has no endpoint`;
  }
  return reason;
}

function isServing({ conditions }: { conditions?: { ready?: boolean } }): boolean {
  return conditions?.ready ?? true;
}
