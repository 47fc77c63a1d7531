import { proxyHealthPort, readConfig } from "../provider/config.ts";
import { failedStep, type ExposureKey, type LoadBalancerProvider } from "../provider/contract.ts";
import { textIn, type Shape } from "../provider/shape.ts";
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
import { allowHttpAnnotation, httpDesiredOf, httpNameOf } from "./http-desired.ts";
import { observeHttp } from "./http-observe.ts";
import { httpPlacesOf, planHttp, planHttpRemoval, type HttpObserved } from "./http-plan.ts";
import { placesOf, planGce, planGceRemoval, type GceStep, type Observed } from "./plan.ts";
import { backendOf, firewallOf, healthOf, lastOf, own, ruleOf } from "./reading.ts";

/** Services with this class get a passthrough Network Load Balancer of Google Cloud, Ingresses an Application Load Balancer. */
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
  "proxyRanges",
  "healthPort",
  "credentialsFile",
  "metadataUrl",
  "endpoint",
  "caFile",
  "pollMs",
  "timeoutMs",
];

/** What exists for a Service, or for an Ingress. */
type Seen = Observed | HttpObserved;

/** Google Cloud: a passthrough Network Load Balancer a Service, a regional Application Load Balancer an Ingress. Throws ProviderConfigError. */
export function createProvider(value: unknown): LoadBalancerProvider<Seen> {
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
    proxyRanges: config.texts("proxyRanges"),
    healthPort: config.whole("healthPort", 1, 65_535, proxyHealthPort),
  };
  return gceProvider(compute, settings);
}

export function gceProvider(compute: Compute, settings: GceSettings): LoadBalancerProvider<Seen> {
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

  async function observe(key: ExposureKey, signal: AbortSignal): Promise<Seen | undefined> {
    const { addresses } = placesOf(settings, "");
    const reserved = async (name: string) => own(await compute.get(`${addresses}/${name}`, signal), key);
    const [address, httpAddress] = await Promise.all([reserved(nameOf(key)), reserved(httpNameOf(key))]);
    // The address is made first and goes last. Without it, leftovers of either kind are looked for.
    if (address) return observeService(key, address, signal);
    const http = await observeHttp(compute, settings, key, httpAddress, signal);
    return http ?? observeService(key, undefined, signal);
  }

  async function observeService(
    key: ExposureKey,
    address: Shape | undefined,
    signal: AbortSignal,
  ): Promise<Observed | undefined> {
    const name = nameOf(key);
    const places = placesOf(settings, name);
    const read = async (path: string) => own(await compute.get(path, signal), key);
    const all = (list: readonly string[], place: string) => Promise.all(list.map((one) => read(`${place}/${one}`)));
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
    ingressController: gceClass,
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
      annotations: [typeAnnotation, globalAccessAnnotation, allowHttpAnnotation],
      http: { tls: true, exactPaths: true, endpoints: false },
    },
    async list(cluster, signal) {
      const [places, http] = [placesOf(settings, ""), httpPlacesOf(settings)];
      const kinds = [
        places.addresses,
        places.health,
        places.backends,
        places.rules,
        http.urlMaps,
        http.proxies(80),
        http.proxies(443),
        http.certificates,
        "aggregated/networkEndpointGroups",
      ];
      if (settings.firewalls) kinds.push(places.firewalls);
      const found = await Promise.all(kinds.map((path) => compute.list(path, ourNames, signal)));
      const keys = found.flat().flatMap((one) => ownerIn(textIn(one.at("description"))) ?? []);
      return [...new Map(keys.filter((key) => key.cluster === cluster).map((key) => [key.uid, key])).values()];
    },
    observe,
    plan(desired, observed) {
      if (desired.http) {
        const seen = observed && "http" in observed ? observed : undefined;
        return planHttp(httpDesiredOf(desired, settings), seen, settings);
      }
      const seen = observed && !("http" in observed) ? observed : undefined;
      return planGce(desiredOf(desired, settings), seen, settings);
    },
    planRemoval: (observed) =>
      "http" in observed ? planHttpRemoval(observed, settings) : planGceRemoval(observed, settings),
    async apply({ input }, signal) {
      const { method, path, body } = input as GceStep;
      try {
        return await compute.change(method, path, body, signal);
      } catch (error) {
        return failedStep(error);
      }
    },
    addresses(observed) {
      const { address } = observed;
      if (!address) return [];
      if ("http" in observed) return observed.fronts.length > 0 ? [{ ip: address.address }] : [];
      return observed.rules.length > 0 ? [{ ip: address.address, ipMode: "VIP" }] : [];
    },
  };
}
