import { ProviderFailure, type ExposureKey } from "../provider/contract.ts";
import { numberIn, shape, textIn, type Shape } from "../provider/shape.ts";
import {
  idsOf,
  isPartOf,
  partName,
  poolName,
  type AzureSettings,
  type Desired,
  type Probe,
  type Rule,
} from "./desired.ts";

/** What a Service has in the document of a load balancer. */
export interface Part {
  readonly internal: boolean;
  /** Azure's `provisioningState`. */
  readonly state: string;
  readonly frontend?: {
    /** Ids in lower case, as Azure changes their case; "": none. */
    readonly publicIp: string;
    readonly subnet: string;
    /** Of internal ones. */
    readonly address: string;
  };
  readonly rules: readonly Rule[];
  readonly probes: readonly Probe[];
  /** All of the pool, in order. */
  readonly backends: readonly string[];
}

type Json = Readonly<Record<string, unknown>>;
type Section = "frontendIPConfigurations" | "backendAddressPools" | "loadBalancingRules" | "probes";
const ours: readonly Section[] = ["frontendIPConfigurations", "backendAddressPools", "loadBalancingRules", "probes"];
/** What only Azure writes, and takes from nobody: of all things, and of those of a section. */
const written = ["provisioningState", "resourceGuid"];
const writtenIn: Readonly<Record<string, readonly string[]>> = {
  frontendIPConfigurations: ["inboundNatRules", "inboundNatPools", "outboundRules", "loadBalancingRules"],
  backendAddressPools: [
    "backendIPConfigurations",
    "loadBalancingRules",
    "outboundRules",
    "outboundRule",
    "inboundNatRules",
  ],
  probes: ["loadBalancingRules"],
};
/** Tags of a resource, and letters of one (Azure's limits). */
const mostTags = 50;
const piece = 250;
const madeTag = "fairlead-made";

const listAt = (one: Shape): readonly Shape[] => (one.isAbsent() ? [] : one.list());
const lastOf = (id: string) => id.split("/").at(-1) ?? "";
const idAt = (one: Shape) => (one.isAbsent() ? "" : one.at("id").text());
const isMap = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);

/** Undefined: the Service has nothing in it. */
export function partIn(document: Shape, name: string, internal: boolean): Part | undefined {
  const properties = document.at("properties");
  const mine = (section: Section) =>
    listAt(properties.at(section)).filter((one) => isPartOf(name, one.at("name").text()));
  const [frontend] = mine("frontendIPConfigurations");
  const [rules, probes] = [mine("loadBalancingRules"), mine("probes")];
  if (!frontend && rules.length + probes.length === 0) return undefined;
  const pool = listAt(properties.at("backendAddressPools")).find((one) => one.at("name").text() === poolName);
  const addresses = pool ? listAt(pool.at("properties").at("loadBalancerBackendAddresses")) : [];
  const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
  return {
    internal,
    state: textIn(properties.at("provisioningState")) ?? "",
    ...(frontend ? { frontend: frontendOf(frontend.at("properties")) } : {}),
    rules: rules.map(ruleOf).sort(byName),
    probes: probes.map(probeOf).sort(byName),
    backends: addresses.map((one) => textIn(one.at("properties").at("ipAddress")) ?? "").sort(),
  };
}

const frontendOf = (properties: Shape) => ({
  publicIp: idAt(properties.at("publicIPAddress")).toLowerCase(),
  subnet: idAt(properties.at("subnet")).toLowerCase(),
  address: textIn(properties.at("privateIPAddress")) ?? "",
});

function ruleOf(one: Shape): Rule {
  const of = one.at("properties");
  return {
    name: one.at("name").text(),
    protocol: of.at("protocol").text() as Rule["protocol"],
    port: of.at("frontendPort").number(),
    backendPort: numberIn(of.at("backendPort")) ?? 0,
    probe: lastOf(idAt(of.at("probe"))),
    distribution: (textIn(of.at("loadDistribution")) ?? "Default") as Rule["distribution"],
    idleMinutes: numberIn(of.at("idleTimeoutInMinutes")) ?? 4,
  };
}

function probeOf(one: Shape): Probe {
  const of = one.at("properties");
  return {
    name: one.at("name").text(),
    protocol: of.at("protocol").text() as Probe["protocol"],
    port: of.at("port").number(),
  };
}

/** The document as it may be sent: what only Azure writes is left out, all that others have is kept. */
export function sendable(document: Shape): Json {
  const whole = document.value;
  if (!isMap(whole)) throw new ProviderFailure("Broken", "the load balancer: a map is needed");
  const { etag: _etag, name: _name, type: _type, id: _id, properties, ...rest } = whole;
  const kept = isMap(properties) ? without(properties, written) : {};
  const sections = Object.entries(kept).map(([section, list]) => [
    section,
    Array.isArray(list) ? list.map((one) => sendableOf(one, section)) : list,
  ]);
  return { ...rest, properties: Object.fromEntries(sections) as Json };
}

function sendableOf(one: unknown, section: string): unknown {
  if (!isMap(one)) return one;
  const { properties, ...rest } = without(one, ["etag", "type"]);
  if (!isMap(properties)) return { ...rest, ...(properties === undefined ? {} : { properties }) };
  return { ...rest, properties: without(properties, [...written, ...(writtenIn[section] ?? [])]) };
}

function without(map: Json, names: readonly string[]): Json {
  return Object.fromEntries(Object.entries(map).filter(([name]) => !names.includes(name)));
}

/** The document with a Service's part as it should be; of undefined, a new one. Throws ProviderFailure. */
export function withPart(document: Shape | undefined, desired: Desired, settings: AzureSettings): Json {
  const { key, name, internal } = desired;
  const base = document
    ? sendable(document)
    : {
        location: settings.location,
        sku: { name: "Standard" },
        tags: { [madeTag]: "true" },
        properties: {},
      };
  const sku = isMap(base["sku"]) ? base["sku"]["name"] : undefined;
  if (sku !== "Standard") {
    const found = JSON.stringify(sku) ?? "none";
    throw new ProviderFailure("Refused", `the load balancer's SKU is ${found.slice(0, 40)}; Standard is needed`);
  }
  const ids = idsOf(settings, key.cluster);
  const id = ids.balancer(internal);
  const to = (section: Section, of: string) => ({ id: `${id}/${section}/${of}` });
  const found = listOf(base, "frontendIPConfigurations").find((one) => nameIn(one) === name);
  const parts: Readonly<Record<Section, readonly unknown[]>> = {
    // One that is there is left as it is: its address stays.
    frontendIPConfigurations: [found ?? { name, ...frontendFor(desired, settings) }],
    backendAddressPools: [
      {
        name: poolName,
        properties: {
          loadBalancerBackendAddresses: desired.backends.map((ipAddress) => ({
            name: `fairlead-${ipAddress}`,
            properties: { ipAddress, virtualNetwork: { id: ids.virtualNetwork } },
          })),
        },
      },
    ],
    loadBalancingRules: desired.rules.map((rule) => ({
      name: rule.name,
      properties: {
        protocol: rule.protocol,
        frontendPort: rule.port,
        backendPort: rule.backendPort,
        enableFloatingIP: settings.floatingIp,
        idleTimeoutInMinutes: rule.idleMinutes,
        loadDistribution: rule.distribution,
        // A client hears of a connection that was forgotten; nodes go out by a way of their own.
        enableTcpReset: rule.protocol === "Tcp",
        disableOutboundSnat: true,
        frontendIPConfiguration: to("frontendIPConfigurations", name),
        backendAddressPool: to("backendAddressPools", poolName),
        probe: to("probes", rule.probe),
      },
    })),
    probes: desired.probes.map((probe) => ({
      name: probe.name,
      properties: {
        protocol: probe.protocol,
        port: probe.port,
        ...(probe.protocol === "Http" ? { requestPath: "/healthz" } : {}),
        intervalInSeconds: 5,
        probeThreshold: 2,
      },
    })),
  };
  const tags = { ...tagsOf(base), ...(internal ? ownerTags(key) : {}) };
  if (Object.keys(tags).length > mostTags) {
    const words = `an internal load balancer of Azure holds ${mostTags} tags, in which stands whose its parts are`;
    throw new ProviderFailure("Quota", `${words}; use another cluster name for some of the Services, or public ones`);
  }
  return { ...base, tags, properties: replaced(base, name, parts) };
}

/** The document without a Service's part; undefined: nothing is left in what was made here. */
export function withoutPart(document: Shape, key: ExposureKey): Json | undefined {
  const base = sendable(document);
  const name = partName(key);
  const none = { frontendIPConfigurations: [], backendAddressPools: [], loadBalancingRules: [], probes: [] };
  const properties = replaced(base, name, none);
  const tags = Object.fromEntries(Object.entries(tagsOf(base)).filter(([tag]) => !tag.startsWith(`fairlead-${name}-`)));
  const isEmpty = ours.every((section) => listOf({ properties }, section).every((one) => nameIn(one) === poolName));
  if (isEmpty && tags[madeTag] !== undefined) return undefined;
  return { ...base, tags, properties };
}

/** Everything of others, and these in place of a Service's. An empty list for the pool leaves it, as others need it. */
function replaced(base: Json, name: string, parts: Readonly<Record<Section, readonly unknown[]>>): Json {
  const properties = isMap(base["properties"]) ? base["properties"] : {};
  const sections = ours.map((section) => {
    const isMine = (one: unknown) =>
      section === "backendAddressPools"
        ? parts[section].length > 0 && nameIn(one) === poolName
        : isPartOf(name, nameIn(one));
    return [section, [...listOf(base, section).filter((one) => !isMine(one)), ...parts[section]]];
  });
  return { ...properties, ...(Object.fromEntries(sections) as Json) };
}

function frontendFor({ internal, subnet, requested, name, key }: Desired, settings: AzureSettings): Json {
  if (!internal) return { properties: { publicIPAddress: { id: idsOf(settings, key.cluster).publicIp(name) } } };
  const address =
    requested === undefined
      ? { privateIPAllocationMethod: "Dynamic" }
      : { privateIPAllocationMethod: "Static", privateIPAddress: requested };
  const zones = settings.zones.length > 0 ? { zones: settings.zones } : {};
  return { ...zones, properties: { subnet: { id: subnet }, privateIPAddressVersion: "IPv4", ...address } };
}

function listOf(base: Json, section: string): readonly unknown[] {
  const properties = base["properties"];
  const list = isMap(properties) ? properties[section] : undefined;
  return Array.isArray(list) ? list : [];
}
const nameIn = (one: unknown): string => (isMap(one) && typeof one["name"] === "string" ? one["name"] : "");
const tagsOf = (base: Json): Record<string, string> =>
  isMap(base["tags"]) ? ({ ...base["tags"] } as Record<string, string>) : {};

/** Tags that say whose something is. Values hold 256 letters, so it goes in pieces. */
export function ownerTags(key: ExposureKey): Record<string, string> {
  const { cluster, namespace, name, uid } = key;
  const text = JSON.stringify([cluster, namespace, name, uid]);
  const pieces = Array.from({ length: Math.ceil(text.length / piece) }, (_, i) => [
    `fairlead-${partName(key)}-${i}`,
    text.slice(i * piece, (i + 1) * piece),
  ]);
  return Object.fromEntries(pieces) as Record<string, string>;
}

/** Whose the parts of a resource are, by its tags. */
export function ownersIn(resource: Shape): readonly ExposureKey[] {
  const tags = resource.at("tags");
  const pieces = new Map<string, string[]>();
  for (const [tag, value] of tags.isAbsent() ? [] : tags.entries()) {
    const [, part, at] = /^fairlead-(fl-[0-9a-f]{20})-(\d{1,2})$/.exec(tag) ?? [];
    if (part === undefined) continue;
    const list = pieces.get(part) ?? [];
    list[Number(at)] = value.text();
    pieces.set(part, list);
  }
  return [...pieces].flatMap(([part, list]) => {
    const key = keyIn(list.join(""));
    return key && partName(key) === part ? [key] : [];
  });
}

function keyIn(text: string): ExposureKey | undefined {
  try {
    const [cluster, namespace, name, uid] = shape(JSON.parse(text))
      .list()
      .map((one) => one.text());
    return cluster === undefined || namespace === undefined || name === undefined || uid === undefined
      ? undefined
      : { cluster, namespace, name, uid };
  } catch {
    return undefined;
  }
}
