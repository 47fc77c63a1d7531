import type { Exposure, ExposureKey } from "../provider/contract.ts";
import { textIn, type Shape } from "../provider/shape.ts";
import type { FoundService } from "./appliance.ts";
import { applicationName } from "./declaration.ts";

// What a Service is in a BIG-IP's own objects (Local Traffic Manager): a virtual server and a pool a port, and with policy Local a monitor.
// Whose they are stands in their descriptions and, should one be lost, in the beginnings of their names.

export interface Virtual {
  readonly name: string;
  readonly description: string;
  /** As the BIG-IP writes it, with the partition: `/lab/192.0.2.1:80`, `/lab/2001:db8::1.80`. */
  readonly destination: string;
  readonly ipProtocol: string;
  readonly pool: string;
  /** Name of the persistence profile; "": none. */
  readonly persist: string;
  readonly sourceAddressTranslation: string;
}

export interface LtmPool {
  readonly name: string;
  readonly description: string;
  readonly monitor: string;
  /** Addresses, and the port behind each; sorted. */
  readonly members: readonly { readonly address: string; readonly port: number }[];
}

export interface Monitor {
  readonly name: string;
  readonly description: string;
  readonly destination: string;
  readonly send: string;
  readonly recv: string;
}

/** All of one Service, each sorted by name. */
export interface Objects {
  readonly monitors: readonly Monitor[];
  readonly pools: readonly LtmPool[];
  readonly virtuals: readonly Virtual[];
}

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
const byAddress = (a: { address: string; port: number }, b: { address: string; port: number }) =>
  a.address < b.address ? -1 : a.address > b.address ? 1 : a.port - b.port;
/** An address with a port, as F5 writes them. */
export const endpointText = (address: string, port: number): string =>
  `${address}${address.includes(":") ? "." : ":"}${port}`;

/** A Service as a BIG-IP has it, at an address. Pure. */
export function objectsOf(exposure: Exposure, address: string, partition: string): Objects {
  const { key, ports, targets, sessionAffinity, healthCheckNodePort } = exposure;
  const begin = applicationName(key);
  const description = describe(key, address);
  const isV6 = address.includes(":");
  const nodes = targets.flatMap(({ addresses }) => addresses.filter((one) => one.includes(":") === isV6).slice(0, 1));
  // A monitor's port cannot be changed: it is part of the name.
  const monitor = `${begin}_healthz_${healthCheckNodePort ?? 0}`;
  const parts = ports.map(({ protocol, port, nodePort = 0 }) => {
    const name = `${begin}_${protocol.toLowerCase()}_${port}`;
    const usual = protocol === "TCP" ? "/Common/tcp" : "/Common/gateway_icmp";
    const pool: LtmPool = {
      name,
      description,
      monitor: healthCheckNodePort ? `/${partition}/${monitor}` : usual,
      members: nodes.map((node) => ({ address: node, port: nodePort })).sort(byAddress),
    };
    const virtual: Virtual = {
      name,
      description,
      destination: `/${partition}/${endpointText(address, port)}`,
      ipProtocol: protocol.toLowerCase(),
      pool: `/${partition}/${name}`,
      persist: sessionAffinity === "ClientIP" ? "source_addr" : "",
      sourceAddressTranslation: "automap",
    };
    return { pool, virtual };
  });
  const health: Monitor = {
    name: monitor,
    description,
    destination: `*:${healthCheckNodePort ?? 0}`,
    send: "GET /healthz HTTP/1.0\\r\\n\\r\\n",
    recv: " 200 ",
  };
  return {
    monitors: healthCheckNodePort ? [health] : [],
    pools: parts.map(({ pool }) => pool).sort(byName),
    virtuals: parts.map(({ virtual }) => virtual).sort(byName),
  };
}

const mark = "fairlead";
const describe = ({ cluster, namespace, name, uid }: ExposureKey, address: string) =>
  [mark, ...[cluster, namespace, name, uid].map(encodeURIComponent), address].join(" ");

function whoseIs(description: string): { readonly key: ExposureKey; readonly address: string } | undefined {
  const words = description.split(" ");
  const [first, cluster, namespace, name, uid, address] = words;
  if (words.length !== 6 || first !== mark || !cluster || !namespace || !name || !uid || !address) return undefined;
  try {
    const [a, b, c, d] = [cluster, namespace, name, uid].map(decodeURIComponent);
    return { key: { cluster: a ?? "", namespace: b ?? "", name: c ?? "", uid: d ?? "" }, address };
  } catch {
    // Somebody else's words.
    return undefined;
  }
}

/** The Services of a cluster that are in a partition. Each object counts to whom its name says. Pure. */
export function servicesIn(all: Objects, cluster: string): readonly (FoundService & { readonly value: Objects })[] {
  const owners = new Map<string, { key: ExposureKey; address: string }>();
  for (const { description } of [...all.virtuals, ...all.pools, ...all.monitors]) {
    const whose = whoseIs(description);
    if (whose?.key.cluster === cluster) owners.set(applicationName(whose.key), whose);
  }
  return [...owners].map(([name, whose]) => {
    const isIts = (one: { name: string }) => one.name.startsWith(`${name}_`);
    const value: Objects = {
      monitors: all.monitors.filter(isIts).sort(byName),
      pools: all.pools.filter(isIts).sort(byName),
      virtuals: all.virtuals.filter(isIts).sort(byName),
    };
    return { ...whose, value };
  });
}

export function readVirtual(one: Shape): Virtual {
  const persist = one.at("persist");
  const profiles = persist.isAbsent() ? [] : persist.list().map((each) => each.at("name").text());
  const nat = one.at("sourceAddressTranslation");
  return {
    name: one.at("name").text(),
    description: textIn(one.at("description")) ?? "",
    destination: one.at("destination").text(),
    ipProtocol: textIn(one.at("ipProtocol")) ?? "",
    pool: textIn(one.at("pool")) ?? "",
    persist: profiles.join(" "),
    sourceAddressTranslation: nat.isAbsent() ? "none" : nat.at("type").text(),
  };
}

/** With `expandSubcollections`. */
export function readPool(one: Shape): LtmPool {
  const reference = one.at("membersReference");
  const items = reference.isAbsent() ? reference : reference.at("items");
  const members = items.isAbsent() ? [] : items.list();
  return {
    name: one.at("name").text(),
    description: textIn(one.at("description")) ?? "",
    // The BIG-IP ends it with a space.
    monitor: (textIn(one.at("monitor")) ?? "").trim(),
    members: members
      .map((each) => ({ address: each.at("address").text(), port: portIn(each.at("name").text()) }))
      .sort(byAddress),
  };
}

export function readMonitor(one: Shape): Monitor {
  return {
    name: one.at("name").text(),
    description: textIn(one.at("description")) ?? "",
    destination: textIn(one.at("destination")) ?? "",
    send: textIn(one.at("send")) ?? "",
    recv: textIn(one.at("recv")) ?? "",
  };
}

/** `web1:80`, `2001:db8::1.80`. */
const portIn = (name: string) => Number(/[.:](\d{1,5})$/.exec(name)?.[1] ?? 0);
