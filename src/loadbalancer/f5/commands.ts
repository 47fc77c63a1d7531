import { isDeepStrictEqual } from "node:util";
import { endpointText, type LtmPool, type Objects, type Virtual } from "./objects.ts";

/** A call of iControl REST, below /mgmt/tm/ltm. */
export interface Command {
  readonly method: "POST" | "PATCH" | "DELETE";
  readonly path: string;
  readonly json?: object;
}

/** A machine that pools send to. Two of one address cannot be, whatever their partitions. */
export interface Node {
  readonly name: string;
  readonly partition: string;
  readonly address: string;
  readonly isOurs: boolean;
}

/** What `isOurs` is read from. */
export const nodeDescription = "fairlead";

/** Objects of one Service as they should be and as they are, and what else counts. */
export interface Difference {
  readonly partition: string;
  readonly wanted: Objects;
  readonly found: Objects;
  /** Nodes of the partition and of Common. */
  readonly nodes: readonly Node[];
  /** All other pools in the partition. */
  readonly others: readonly LtmPool[];
}

/** How an object is named in a URL. */
const inUrl = (partition: string, name: string) => `~${partition}~${encodeURIComponent(name)}`;

/** What makes one like the other, in an order in which every step is possible. For one transaction. Pure. */
export function commandsOf({ partition, wanted, found, nodes, others }: Difference): readonly Command[] {
  const make: Command[] = [];
  const drop: Command[] = [];
  const at = (kind: string, name: string) => `/${kind}/${inUrl(partition, name)}`;
  const named = <T extends { name: string }>(list: readonly T[], name: string) => list.find((one) => one.name === name);

  const addresses = new Set(wanted.pools.flatMap(({ members }) => members.map(({ address }) => address)));
  const nodeOf = (address: string) => {
    const same = nodes.filter((one) => one.address === address);
    return (
      same.find((one) => one.partition === partition) ?? same[0] ?? { name: address, partition, address, isOurs: true }
    );
  };
  for (const address of addresses) {
    if (nodes.some((one) => one.address === address)) continue;
    const json = { name: address, partition, address, description: nodeDescription };
    make.push({ method: "POST", path: "/node", json });
  }
  const memberOf = ({ address, port }: LtmPool["members"][number]) => {
    const node = nodeOf(address);
    const isV6Name = node.name.includes(":");
    return { name: isV6Name ? endpointText(node.name, port) : `${node.name}:${port}`, partition: node.partition };
  };

  for (const monitor of wanted.monitors) {
    const old = named(found.monitors, monitor.name);
    const { name, description, destination, send, recv } = monitor;
    if (!old) {
      const json = { name, partition, defaultsFrom: "/Common/http", description, destination, send, recv };
      make.push({ method: "POST", path: "/monitor/http", json });
    } else if (!isDeepStrictEqual(old, monitor)) {
      make.push({ method: "PATCH", path: at("monitor/http", name), json: { description, send, recv } });
    }
  }
  for (const pool of wanted.pools) {
    const { name, description, monitor, members } = pool;
    const old = named(found.pools, name);
    if (!old) {
      make.push({
        method: "POST",
        path: "/pool",
        json: { name, partition, description, monitor, members: members.map(memberOf) },
      });
      continue;
    }
    if (old.description !== description || old.monitor !== monitor) {
      make.push({ method: "PATCH", path: at("pool", name), json: { description, monitor } });
    }
    const has = (list: LtmPool["members"], one: LtmPool["members"][number]) =>
      list.some((other) => isDeepStrictEqual(one, other));
    const below = `${at("pool", name)}/members`;
    for (const one of members.filter((each) => !has(old.members, each))) {
      make.push({ method: "POST", path: below, json: memberOf(one) });
    }
    for (const one of old.members.filter((each) => !has(members, each))) {
      const member = memberOf(one);
      make.push({ method: "DELETE", path: `${below}/${inUrl(member.partition, member.name)}` });
    }
  }
  for (const virtual of wanted.virtuals) {
    const old = named(found.virtuals, virtual.name);
    if (!old) make.push({ method: "POST", path: "/virtual", json: virtualBody(virtual, partition) });
    else if (old.destination !== virtual.destination || old.ipProtocol !== virtual.ipProtocol) {
      make.push({ method: "DELETE", path: at("virtual", virtual.name) });
      make.push({ method: "POST", path: "/virtual", json: virtualBody(virtual, partition) });
    } else if (!isDeepStrictEqual(old, virtual)) {
      const { description, pool, persist, sourceAddressTranslation } = virtualBody(virtual, partition);
      const json = { description, pool, persist, sourceAddressTranslation };
      make.push({ method: "PATCH", path: at("virtual", virtual.name), json });
    }
  }
  // What is used goes after what uses it.
  const kinds: readonly (readonly [string, readonly { name: string }[], readonly { name: string }[]])[] = [
    ["virtual", found.virtuals, wanted.virtuals],
    ["pool", found.pools, wanted.pools],
    ["monitor/http", found.monitors, wanted.monitors],
  ];
  for (const [kind, list, kept] of kinds) {
    for (const { name } of list) if (!named(kept, name)) drop.push({ method: "DELETE", path: at(kind, name) });
  }
  const used = new Set(others.flatMap(({ members }) => members.map(({ address }) => address)));
  for (const node of nodes) {
    if (!node.isOurs || node.partition !== partition || used.has(node.address) || addresses.has(node.address)) continue;
    drop.push({ method: "DELETE", path: at("node", node.name) });
  }
  return [...make, ...drop];
}

function virtualBody(virtual: Virtual, partition: string) {
  const { name, description, destination, ipProtocol, pool, persist, sourceAddressTranslation } = virtual;
  const isV6 = destination.split(":").length > 2;
  return {
    name,
    partition,
    description,
    destination,
    mask: isV6 ? "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" : "255.255.255.255",
    ipProtocol,
    pool,
    persist: persist === "" ? [] : [{ name: persist, partition: "Common" }],
    sourceAddressTranslation: { type: sourceAddressTranslation },
  };
}
