import { proxyHealthPort, readConfig } from "../provider/config.ts";
import { failedStep, ProviderFailure, type ExposureKey, type LoadBalancerProvider } from "../provider/contract.ts";
import { numberIn, textIn, type Shape } from "../provider/shape.ts";
import { createCompute, type Compute } from "./compute.ts";
import { readKeyFile } from "./credentials.ts";
import {
  byInstance,
  desiredOf,
  firewallNames,
  globalAccessAnnotation,
  nameOf,
  ourNames,
  ownerIn,
  ruleNames,
  typeAnnotation,
  type GceSettings,
  type Group,
} from "./desired.ts";
import {
  placesOf,
  planGce,
  planGceRemoval,
  type FoundFirewall,
  type FoundRule,
  type GceStep,
  type Observed,
} from "./plan.ts";

/** Services with this class get a passthrough Network Load Balancer of Google Cloud. */
export const gceClass = "fairlead.dev/gce";

const names = [
  "project",
  "region",
  "zone",
  "network",
  "subnetwork",
  "scheme",
  "networkTier",
  "nodeTags",
  "firewalls",
  "healthPort",
  "credentialsFile",
  "metadataUrl",
  "endpoint",
  "caFile",
  "pollMs",
  "timeoutMs",
];

/** Google Cloud: a passthrough Network Load Balancer a Service. Throws ProviderConfigError. */
export function createProvider(value: unknown): LoadBalancerProvider<Observed> {
  const config = readConfig(value, names);
  const { env } = process;
  const keyFile = config.optional("credentialsFile") ?? env["GOOGLE_APPLICATION_CREDENTIALS"];
  const project = config.text("project", env["GOOGLE_CLOUD_PROJECT"]);
  const compute = createCompute({
    endpoint: config.urlOr("endpoint", "https://compute.googleapis.com/compute/v1"),
    project,
    credentials:
      keyFile === undefined || keyFile === ""
        ? {
            kind: "metadata",
            url: config.urlOr("metadataUrl", "http://metadata.google.internal"),
          }
        : readKeyFile(keyFile),
    poll: config.whole("pollMs", 10, 600_000, 1_000),
    timeout: config.whole("timeoutMs", 100, 600_000, 30_000),
    ...config.pem("caFile"),
  });
  const settings: GceSettings = {
    project,
    region: config.text("region"),
    zone: config.optional("zone") ?? "",
    network: config.text("network", "default"),
    subnetwork: config.text("subnetwork", "default"),
    scheme: config.oneOf("scheme", ["INTERNAL", "EXTERNAL"], "INTERNAL"),
    tier: config.oneOf("networkTier", ["PREMIUM", "STANDARD"], "PREMIUM"),
    nodeTags: config.texts("nodeTags"),
    firewalls: config.flag("firewalls", true),
    healthPort: config.whole("healthPort", 1, 65_535, proxyHealthPort),
  };
  return gceProvider(compute, settings);
}

const lastOf = (url: string) => url.split("/").at(-1) ?? "";
/** The zone in a URL of something zonal. */
const zoneIn = (url: string) => /\/zones\/([^/]+)/.exec(url)?.[1] ?? "";
const textsIn = (one: Shape) => (one.isAbsent() ? [] : one.list().map((each) => each.text()));

export function gceProvider(compute: Compute, settings: GceSettings): LoadBalancerProvider<Observed> {
  /** Undefined: there is none. Throws ProviderFailure Refused for what somebody else has made under our name. */
  function own(one: Shape | undefined, key: ExposureKey): Shape | undefined {
    if (!one) return undefined;
    const owner = ownerIn(textIn(one.at("description")));
    if (owner?.uid === key.uid && owner.cluster === key.cluster) return one;
    const words = `Google Cloud has a ${textIn(one.at("kind")) ?? "thing"} ${one.at("name").text()} that is not marked as this Service's; remove it`;
    throw new ProviderFailure("Refused", words);
  }

  async function groupsOf(key: ExposureKey, name: string, signal: AbortSignal): Promise<readonly Group[]> {
    const found = await compute.list("aggregated/networkEndpointGroups", `name eq "${name}"`, signal);
    const groups: Group[] = [];
    for (const one of found) {
      if (one.at("name").text() !== name || !own(one, key)) continue;
      const zone = lastOf(one.at("zone").text());
      const path = `${placesOf(settings, name).group(zone)}/listNetworkEndpoints`;
      const endpoints = (await compute.listPosted(path, signal)).map((item) => {
        const endpoint = item.at("networkEndpoint");
        return { instance: lastOf(endpoint.at("instance").text()), address: endpoint.at("ipAddress").text() };
      });
      groups.push({ zone, endpoints: endpoints.sort(byInstance) });
    }
    return groups.sort((a, b) => (a.zone < b.zone ? -1 : 1));
  }

  async function observe(key: ExposureKey, signal: AbortSignal): Promise<Observed | undefined> {
    const name = nameOf(key);
    const places = placesOf(settings, name);
    const read = async (path: string) => own(await compute.get(path, signal), key);
    const all = (list: readonly string[], place: string) => Promise.all(list.map((one) => read(`${place}/${one}`)));
    const address = await read(`${places.addresses}/${name}`);
    const [health, backend, rules, firewalls, groups] = await Promise.all([
      read(`${places.health}/${name}`),
      read(`${places.backends}/${name}`),
      all(ruleNames(name), places.rules),
      settings.firewalls ? all(firewallNames(name), places.firewalls) : [],
      groupsOf(key, name, signal),
    ]);
    const observed: Observed = {
      key,
      name,
      ...(address
        ? { address: { address: address.at("address").text(), type: address.at("addressType").text() } }
        : {}),
      ...(health ? { health: healthOf(health) } : {}),
      ...(backend ? { backend: backendOf(backend) } : {}),
      rules: rules.flatMap((one) => (one ? [ruleOf(one)] : [])),
      groups,
      firewalls: firewalls.flatMap((one) => (one ? [firewallOf(one, name)] : [])),
    };
    const { rules: r, groups: g, firewalls: f } = observed;
    return address || health || backend || r.length + g.length + f.length > 0 ? observed : undefined;
  }

  return {
    name: "gce",
    loadBalancerClass: gceClass,
    capabilities: {
      families: ["IPv4"],
      protocols: ["TCP", "UDP"],
      mixedProtocols: true,
      sourceRanges: settings.firewalls,
      sessionAffinity: true,
      requestedAddress: true,
      localPolicy: true,
      // Packets arrive at nodes as clients have sent them, for the load balancer's address.
      withoutNodePorts: true,
      mostPorts: 100,
      annotations: [typeAnnotation, globalAccessAnnotation],
    },
    async list(cluster, signal) {
      const places = placesOf(settings, "");
      const kinds = [
        places.addresses,
        places.health,
        places.backends,
        places.rules,
        "aggregated/networkEndpointGroups",
      ];
      if (settings.firewalls) kinds.push(places.firewalls);
      const found = await Promise.all(kinds.map((path) => compute.list(path, ourNames, signal)));
      const keys = found.flat().flatMap((one) => ownerIn(textIn(one.at("description"))) ?? []);
      return [...new Map(keys.filter((key) => key.cluster === cluster).map((key) => [key.uid, key])).values()];
    },
    observe,
    plan: (desired, observed) => planGce(desiredOf(desired, settings), observed, settings),
    planRemoval: (observed) => planGceRemoval(observed, settings),
    async apply({ input }, signal) {
      const { method, path, body } = input as GceStep;
      try {
        return await compute.change(method, path, body, signal);
      } catch (error) {
        return failedStep(error);
      }
    },
    addresses: ({ address, rules }) => (address && rules.length > 0 ? [{ ip: address.address, ipMode: "VIP" }] : []),
  };
}

function healthOf(one: Shape) {
  const http = one.at("httpHealthCheck");
  if (http.isAbsent()) return { port: 0, path: "" };
  return { port: numberIn(http.at("port")) ?? 0, path: textIn(http.at("requestPath")) ?? "" };
}

function backendOf(one: Shape) {
  const backends = one.at("backends");
  return {
    zones: (backends.isAbsent() ? [] : backends.list()).map((each) => zoneIn(each.at("group").text())).sort(),
    affinity: textIn(one.at("sessionAffinity")) ?? "NONE",
    fingerprint: one.at("fingerprint").text(),
  };
}

function ruleOf(one: Shape): FoundRule {
  return {
    name: one.at("name").text(),
    protocol: one.at("IPProtocol").text() as FoundRule["protocol"],
    ports: [...textsIn(one.at("ports"))].sort((a, b) => Number(a) - Number(b)),
    address: one.at("IPAddress").text(),
    globalAccess: one.at("allowGlobalAccess").isAbsent() ? false : one.at("allowGlobalAccess").flag(),
  };
}

function firewallOf(one: Shape, name: string): FoundFirewall {
  const found = one.at("name").text();
  const allowed = one.at("allowed");
  return {
    name: found,
    sources: [...textsIn(one.at("sourceRanges"))].sort(),
    tags: [...textsIn(one.at("targetTags"))].sort(),
    allowed: (allowed.isAbsent() ? [] : allowed.list())
      .map((each) => ({ protocol: each.at("IPProtocol").text(), ports: textsIn(each.at("ports")) }))
      .sort((a, b) => (a.protocol < b.protocol ? -1 : 1)),
    toAddress: found === name,
    destinations: textsIn(one.at("destinationRanges")),
  };
}
