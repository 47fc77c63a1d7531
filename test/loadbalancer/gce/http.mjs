// Application Load Balancers of the contract server: what their parts need of each other, and what HAProxy does for them.
import { createPrivateKey, X509Certificate } from "node:crypto";

/** What lets proxies in: a block of the proxy-only subnet, and where health checks come from. */
export const proxyRange = "10.129.0.0/23";
const probes = ["130.211.0.0/22", "35.191.0.0/16"];

/** Names of other things in one. */
export function referencesOf(one) {
  const actions = [one, ...(one.pathMatchers ?? [])];
  return [
    one.target,
    one.urlMap,
    ...(one.sslCertificates ?? []),
    ...actions.map(({ defaultService }) => defaultService),
    ...(one.pathMatchers ?? []).flatMap(({ pathRules = [] }) => pathRules.map(({ service }) => service)),
  ].filter(Boolean);
}

/** Undefined: it is no part of such a load balancer; "": it is right. */
export function httpRefusal(kind, one, { exists, things, pathOf, all, network }) {
  const first = (names, what) => names.map((name) => exists(name, what)).find(Boolean) ?? "";
  const isManaged = (one.loadBalancingScheme ?? "").endsWith("_MANAGED");
  switch (kind) {
    case "backendServices": {
      if (!isManaged) return undefined;
      if (one.protocol !== "HTTP") return "Invalid value for field 'resource.protocol'";
      if (one.network) return "network is not for this scheme";
      for (const { balancingMode, maxRatePerEndpoint, group } of one.backends ?? []) {
        if (balancingMode !== "RATE" || !(maxRatePerEndpoint > 0)) return "RATE needs maxRatePerEndpoint";
        const type = things.get(pathOf(group))?.networkEndpointType;
        if (type && type !== "GCE_VM_IP_PORT") return `a group of ${type} is not for this scheme`;
      }
      if (one.healthChecks?.length !== 1) return "a backend service needs one health check";
      return first([one.healthChecks[0], ...(one.backends ?? []).map(({ group }) => group)], "reference");
    }
    case "urlMaps": {
      const matchers = one.pathMatchers ?? [];
      const hosts = (one.hostRules ?? []).flatMap((rule) => rule.hosts);
      if (new Set(hosts).size !== hosts.length) return "a host is in two host rules";
      if (hosts.some((host) => !/^(\*|(\*[.-])?[a-z0-9.-]+)$/.test(host))) return "Invalid value for field 'hosts'";
      const names = matchers.map(({ name }) => name);
      if (new Set(names).size !== names.length) return "a path matcher is there twice";
      if (names.some((name) => !one.hostRules.some(({ pathMatcher }) => pathMatcher === name)))
        return "a path matcher is not used";
      if (one.hostRules?.some(({ pathMatcher }) => !names.includes(pathMatcher))) return "no such path matcher";
      for (const each of [one, ...matchers]) if (!each.defaultService) return "defaultService is needed";
      for (const { pathRules = [] } of matchers) {
        const paths = pathRules.flatMap((rule) => rule.paths);
        if (new Set(paths).size !== paths.length) return "a path is there twice";
        if (paths.some((path) => !/^\/([^*?#]*|([^*?#]*\/)?\*)$/.test(path))) return "Invalid value for field 'paths'";
      }
      return first(referencesOf(one), "service");
    }
    case "targetHttpProxies":
      return first([one.urlMap], "urlMap");
    case "targetHttpsProxies":
      if (!(one.sslCertificates?.length > 0) || one.sslCertificates.length > 15) return "1 to 15 certificates";
      return first([one.urlMap, ...one.sslCertificates], "reference");
    case "sslCertificates":
      try {
        const isPair = new X509Certificate(one.certificate).checkPrivateKey(createPrivateKey(one.privateKey));
        // It repeats what it was sent, as a careless server does.
        return isPair ? "" : `The SSL certificate and key do not match: ${one.privateKey}`;
      } catch {
        return `The SSL certificate could not be parsed: ${one.certificate} ${one.privateKey}`;
      }
    case "forwardingRules": {
      if (!isManaged) return undefined;
      const reserved = all("addresses").find(({ address }) => address === one.IPAddress);
      if (!reserved) return `the address ${one.IPAddress} is not reserved`;
      if (`${reserved.addressType}_MANAGED` !== one.loadBalancingScheme) return "the address is of another scheme";
      if (one.network !== network) return "network is needed";
      if (!["80-80", "443-443"].includes(one.portRange) || one.ports || one.allPorts) return "one port is needed";
      const shares = all("forwardingRules").filter((other) => other.IPAddress === one.IPAddress);
      if (shares.some(({ portRange }) => portRange === one.portRange)) return "the port is taken";
      if (shares.length > 0 && reserved.addressType === "INTERNAL" && reserved.purpose !== "SHARED_LOADBALANCER_VIP")
        return "the address is in use";
      return first([one.target], "target");
    }
    default:
      return undefined;
  }
}

/** What a proxy does, by URL map: the host that fits best, then the longest path. Machines that no firewall rule lets in are left out. */
export function frontendsOf({ things, endpoints, pathOf, all, certificates }) {
  const isLetIn = (port) =>
    all("firewalls").some(
      ({ sourceRanges = [], allowed }) =>
        [proxyRange, ...probes].every((range) => sourceRanges.includes(range)) &&
        allowed.some(({ IPProtocol, ports }) => IPProtocol === "tcp" && ports.includes(String(port))),
    );
  const membersOf = (service) =>
    (things.get(pathOf(service))?.backends ?? [])
      .flatMap(({ group }) => endpoints.get(pathOf(group)) ?? [])
      .filter(({ port }) => isLetIn(port))
      .map(({ ipAddress, port }) => ({ address: ipAddress, port }));
  const restOf = ({ defaultService, defaultRouteAction }) => {
    const status = defaultRouteAction?.faultInjectionPolicy?.abort?.httpStatus;
    return status ? { members: [], status } : { members: membersOf(defaultService) };
  };
  const rulesOf = (map) => {
    const fit = (host) => (host === "*" ? 0 : host.startsWith("*") ? 1_000 + host.length : 2_000 + host.length);
    const hosts = (map.hostRules ?? []).flatMap((rule) =>
      rule.hosts.map((host) => ({
        host,
        matcher: map.pathMatchers.find(({ name }) => name === rule.pathMatcher),
      })),
    );
    return [
      ...hosts
        .toSorted((a, b) => fit(b.host) - fit(a.host))
        .flatMap(({ host, matcher }) => {
          const hostname = host === "*" ? "" : host;
          const paths = (matcher.pathRules ?? []).flatMap(({ paths: list, service }) =>
            list.map((path) => ({ path, service })),
          );
          // `/a/*` is all that begins with `/a/`; a path without it is that path alone.
          const rules = paths
            .toSorted((a, b) => b.path.length - a.path.length)
            .map(({ path, service }) => ({
              hostname,
              path: path.replace(/\*$/, ""),
              isExact: !path.endsWith("*"),
              members: membersOf(service),
            }));
          return [...rules, { hostname, ...restOf(matcher) }];
        }),
      restOf(map),
    ];
  };
  return all("forwardingRules").flatMap(({ name, IPAddress, portRange, target }) => {
    const proxy = target && things.get(pathOf(target));
    const map = proxy && things.get(pathOf(proxy.urlMap));
    if (!map) return [];
    const tls = (proxy.sslCertificates ?? []).map((one) => certificates.get(pathOf(one)));
    return [{ name, address: IPAddress, port: Number(portRange.split("-")[0]), http: rulesOf(map), tls }];
  });
}
