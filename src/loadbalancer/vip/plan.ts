import { parseIp, type IpFamily, type Node } from "../../kube/index.ts";
import type { AddressClaimSpec, AnnounceSpec } from "../definitions.ts";
import { drainReason, mayAnnounce, nodeAddress, standingOf, type TrafficState } from "../eligibility.ts";
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
  /** How many groups there are, and how many nodes could hold some now. */
  readonly groups: number;
  readonly nodes: number;
}

export interface VipState extends TrafficState {
  readonly nodes: readonly Node[];
  readonly claims: readonly AddressClaimSpec[];
  /** How the addresses of a pool are announced, by the pool's name. */
  readonly announce: (pool: string) => AnnounceSpec | undefined;
  /** Why the data plane of this node cannot take traffic. Undefined: it can. */
  readonly unhealthy?: string;
  /** A machine that is no node and answers for an address which no node holds. Undefined: nobody does, or nothing is known. */
  readonly foreign?: (address: string) => string | undefined;
  /** Whether another node has been heard of lately. Absent: all have. */
  readonly isHeard?: (node: string) => boolean;
}

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
    const nodes = state.nodes.filter((node) => mayAnnounce(node, family, announce));
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
    const source = self && nodeAddress(self, family);
    if (rank < 0 || !self || !source) return [];
    const others = nodes.filter((node) => node !== self);
    const barred =
      state.unhealthy ??
      drainReason(self, others) ??
      whyForeign(state, claims) ??
      whyNoTraffic(state, claims, announce);
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
        peers: others.flatMap((node) => nodeAddress(node, family) ?? []),
        ...(barred === undefined ? {} : { barred }),
        isPreferred: rank === 0,
      },
    ];
  });
  const peers = [...new Set(instances.flatMap((one) => one.peers))].sort();
  const { isHeard = () => true } = state;
  const takesPart = (node: Node, list: readonly Node[]) =>
    node === self ||
    (isHeard(node.metadata.name) &&
      drainReason(
        node,
        list.filter((other) => other !== node),
      ) === undefined);
  const nodes = Math.max(
    0,
    ...[...byNodes.values()].map(([name = ""]) => {
      const list = eligible.get(name) ?? [];
      return list.filter((node) => takesPart(node, list)).length;
    }),
  );
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

/** All addresses of the group are another machine's: to take them would be a fight. */
function whyForeign({ foreign }: VipState, claims: readonly AddressClaimSpec[]): string | undefined {
  const others = claims.map(({ address }) => foreign?.(address));
  const [first] = others;
  if (first === undefined || others.includes(undefined)) return undefined;
  return `another machine answers for ${claims[0]?.address ?? "the address"}: ${first}`;
}

/** Why no packet to any address of a group would be served on this node. For VRRP, one that ends is as good as none. */
function whyNoTraffic(
  state: VipState,
  claims: readonly AddressClaimSpec[],
  announce: AnnounceSpec,
): string | undefined {
  const standing = standingOf(state, claims, announce);
  if (standing.is === "fallback") return `node ${state.node} has only endpoints that are about to end`;
  return standing.is === "barred" ? standing.reason : undefined;
}
