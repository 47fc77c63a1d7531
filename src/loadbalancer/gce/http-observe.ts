import type { ExposureKey } from "../provider/contract.ts";
import { textIn, type Shape } from "../provider/shape.ts";
import type { Compute } from "./compute.ts";
import { byInstance, type GceSettings } from "./desired.ts";
import {
  byNameAndZone,
  frontName,
  httpNameOf,
  type PortGroup,
  type ProxyFirewall,
  type UrlMap,
} from "./http-desired.ts";
import { httpPlacesOf, type FoundBackend, type FoundFront, type FoundProxy, type HttpObserved } from "./http-plan.ts";
import { flagIn, lastOf, listIn, own, textsIn, zoneIn } from "./reading.ts";

/** What exists for an Ingress; `address`: its reserved address, read already. Throws ProviderFailure. */
export async function observeHttp(
  compute: Compute,
  settings: GceSettings,
  key: ExposureKey,
  address: Shape | undefined,
  signal: AbortSignal,
): Promise<HttpObserved | undefined> {
  const name = httpNameOf(key);
  const places = httpPlacesOf(settings);
  const read = async (path: string) => own(await compute.get(path, signal), key);
  /** What is named after it. Filters of Compute Engine are not trusted alone. */
  const parts = async (path: string) => {
    const found = await compute.list(path, `name eq "${name}-.*"`, signal);
    return found.filter((one) => one.at("name").text().startsWith(`${name}-`) && own(one, key));
  };
  const ports = [80, 443] as const;
  const fronts = (place: string) => Promise.all(ports.map((port) => read(`${place}/${frontName(name, port)}`)));
  const [health, urlMap, firewall, backends, certificates, groups, forwarding, proxies] = await Promise.all([
    read(`${places.health}/${name}`),
    read(`${places.urlMaps}/${name}`),
    settings.firewalls ? read(`${places.firewalls}/${name}`) : undefined,
    parts(places.backends),
    parts(places.certificates),
    parts("aggregated/networkEndpointGroups"),
    fronts(places.fronts),
    Promise.all(ports.map((port) => read(`${places.proxies(port)}/${frontName(name, port)}`))),
  ]);
  const observed: HttpObserved = {
    http: true,
    key,
    name,
    ...(address ? { address: { address: address.at("address").text(), type: address.at("addressType").text() } } : {}),
    ...(health ? { health: healthOf(health) } : {}),
    backends: backends.map(backendOf),
    groups: (await Promise.all(groups.map(groupOf))).sort(byNameAndZone),
    ...(urlMap ? { urlMap: { map: urlMapOf(urlMap), fingerprint: urlMap.at("fingerprint").text() } } : {}),
    proxies: proxies.flatMap((one, i) => (one ? [proxyOf(one, ports[i] ?? 80)] : [])),
    fronts: forwarding.flatMap((one, i) => (one ? [frontOf(one, ports[i] ?? 80)] : [])),
    certificates: certificates.map((one) => one.at("name").text()),
    ...(firewall ? { firewall: firewallOf(firewall) } : {}),
  };
  const isThere = [address, health, urlMap, firewall, ...forwarding, ...proxies].some(Boolean);
  return isThere || backends.length + certificates.length + groups.length > 0 ? observed : undefined;

  async function groupOf(one: Shape): Promise<PortGroup> {
    const [of, zone] = [one.at("name").text(), lastOf(one.at("zone").text())];
    const listed = await compute.listPosted(`${places.groups(zone)}/${of}/listNetworkEndpoints`, signal);
    const endpoints = listed.map((item) => {
      const endpoint = item.at("networkEndpoint");
      return {
        instance: lastOf(endpoint.at("instance").text()),
        address: endpoint.at("ipAddress").text(),
        port: endpoint.at("port").number(),
      };
    });
    return { name: of, zone, endpoints: endpoints.sort(byInstance) };
  }
}

function healthOf(one: Shape) {
  const tcp = one.at("tcpHealthCheck");
  return { type: one.at("type").text(), port: tcp.isAbsent() ? "" : (textIn(tcp.at("portSpecification")) ?? "") };
}

function backendOf(one: Shape): FoundBackend {
  const name = one.at("name").text();
  const groups = listIn(one.at("backends")).map((each) => each.at("group").text());
  return {
    name,
    zones: groups.map((url) => (lastOf(url) === name ? zoneIn(url) : url)).sort(),
    healthChecks: textsIn(one.at("healthChecks")).map(lastOf),
    fingerprint: one.at("fingerprint").text(),
  };
}

function urlMapOf(one: Shape): UrlMap {
  const nameIn = (of: Shape) => lastOf(textIn(of) ?? "");
  const fallback = nameIn(one.at("defaultService"));
  const isRefused = refuses(one);
  const hosts = new Map(
    listIn(one.at("hostRules")).map((rule) => [rule.at("pathMatcher").text(), textsIn(rule.at("hosts")).join()]),
  );
  const matchers = listIn(one.at("pathMatchers")).map((matcher) => {
    const name = matcher.at("name").text();
    const isLike = nameIn(matcher.at("defaultService")) === fallback && refuses(matcher) === isRefused;
    const rules = listIn(matcher.at("pathRules")).map((rule) => {
      return { backend: nameIn(rule.at("service")), paths: [...textsIn(rule.at("paths"))].sort() };
    });
    // One whose default somebody has changed is none of ours.
    return { host: isLike ? (hosts.get(name) ?? "") : "", name, rules: rules.sort(byBackend) };
  });
  return { fallback, isRefused, matchers: matchers.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}

const byBackend = (a: { backend: string }, b: { backend: string }) => (a.backend < b.backend ? -1 : 1);

/** Whether what matches nothing gets 404. */
function refuses(one: Shape): boolean {
  const action = one.at("defaultRouteAction");
  const policy = action.isAbsent() ? action : action.at("faultInjectionPolicy");
  const abort = policy.isAbsent() ? policy : policy.at("abort");
  return !abort.isAbsent() && abort.at("httpStatus").value === 404 && abort.at("percentage").value === 100;
}

function proxyOf(one: Shape, port: 80 | 443): FoundProxy {
  const certificates = port === 443 ? textsIn(one.at("sslCertificates")).map(lastOf) : [];
  return { port, urlMap: lastOf(one.at("urlMap").text()), certificates };
}

function frontOf(one: Shape, port: 80 | 443): FoundFront {
  return {
    port,
    portRange: textIn(one.at("portRange")) ?? "",
    address: one.at("IPAddress").text(),
    target: lastOf(textIn(one.at("target")) ?? ""),
    globalAccess: flagIn(one.at("allowGlobalAccess")),
  };
}

function firewallOf(one: Shape): ProxyFirewall {
  return {
    sources: [...textsIn(one.at("sourceRanges"))].sort(),
    tags: [...textsIn(one.at("targetTags"))].sort(),
    ports: listIn(one.at("allowed"))
      .flatMap((each) => textsIn(each.at("ports")))
      .sort((a, b) => Number(a) - Number(b)),
  };
}
