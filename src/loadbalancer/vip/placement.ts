import { createHash } from "node:crypto";

/** Which nodes hold a group of addresses, the first choice first. */
export type Placement = ReadonlyMap<string, readonly string[]>;

/**
 * Places groups on nodes, the same on every node that knows the same nodes and groups. Each node is the first choice of as many groups as any
 * other, give or take one; what a node leaves when it dies goes to all others, as the order behind the first choice is
 * drawn for each group alone (rendezvous hashing: Thaler and Ravishankar, 1998). Pure.
 */
export function place(groups: readonly string[], nodes: readonly string[]): Placement {
  const room = Math.ceil(groups.length / Math.max(1, nodes.length));
  const load = new Map<string, number>();
  const placed = new Map<string, readonly string[]>();
  for (const group of groups) {
    const order = rendezvous(group, nodes);
    const first = order.find((node) => (load.get(node) ?? 0) < room) ?? order[0];
    if (first !== undefined) load.set(first, (load.get(first) ?? 0) + 1);
    placed.set(group, first === undefined ? [] : [first, ...order.filter((node) => node !== first)]);
  }
  return placed;
}

function rendezvous(group: string, nodes: readonly string[]): string[] {
  const weights = new Map(nodes.map((node) => [node, createHash("sha256").update(`${node}\0${group}`).digest("hex")]));
  return [...nodes].sort((a, b) => ((weights.get(a) ?? "") < (weights.get(b) ?? "") ? 1 : -1));
}

/**
 * The VRRP priority of a place in the order, 254 for the first: as far apart as 254 numbers let them be, as a backup waits the longer the lower
 * its priority is (RFC 9568, 6.1: skew time), and two that wait equally long would both become master.
 */
export function priorityOf(place: number, nodes: number): number {
  return Math.max(1, 254 - Math.floor((place * 254) / Math.max(1, nodes)));
}

/**
 * How many of the groups a node holds it gives up. Where all others hold as much as they may, a node that is left with the rest still has nine
 * tenths of its share. Shares below five have one to spare: addresses that are held well enough do not move. `nodes`: those that could hold some.
 */
export function surplus(held: number, groups: number, nodes: number): number {
  const share = Math.ceil(groups / Math.max(1, nodes));
  const spare = share < 5 ? 1 : Math.floor(share / 10 / Math.max(1, nodes - 1));
  return Math.max(0, held - share - spare);
}
