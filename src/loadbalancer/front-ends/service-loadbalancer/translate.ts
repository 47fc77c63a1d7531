import { keyOf, type EndpointSlice, type Service, type ServicePort } from "../../../kube/index.ts";
import {
  createHostTable,
  poolOf,
  type Balance,
  type Certificate,
  type Endpoint,
  type Filter,
  type Listener,
  type Owner,
  type PathMatch,
  type Pool,
  type PoolTarget,
  type Problem,
  type Route,
  type RoutingModel,
  type Rule,
  type StreamRoute,
} from "../../../routing/index.ts";
import { frontEndLabel } from "../twin.ts";
import { annotations, readSettings, type ServiceSettings } from "./settings.ts";

export interface TranslateInput {
  readonly services: readonly Service[];
  readonly slices: (key: string) => readonly EndpointSlice[];
  /** `name:port` or `namespace/name:port` (`--tcp-services`). */
  readonly tcpServices: readonly TcpService[];
  /** Name, or `namespace/name`, of the only Service that is served (`--target-service`). */
  readonly targetService?: string;
  /** The only namespace. */
  readonly namespace?: string;
  /** Packets go to the Service's cluster IP (`--forward-services`). */
  readonly forwardServices: boolean;
  readonly balance: Balance;
  readonly httpPort: number;
  readonly httpsPort: number;
  /** What HTTPS is served with. Absent: Services that ask for it are not served at all. */
  readonly tls?: { readonly certificates: readonly Certificate[]; readonly authorities?: string };
  /** Where requests go that no Service takes. */
  readonly fallback?: Endpoint;
}

export interface TcpService {
  readonly namespace?: string;
  readonly name: string;
  readonly port: number;
}

export interface ServiceRoutes {
  readonly model: RoutingModel;
  readonly problems: readonly Problem[];
  /** One line for each way in. */
  readonly ways: readonly {
    readonly service: string;
    readonly port: number;
    readonly at: string;
    readonly balance: Balance;
  }[];
}

const hsts = "max-age=15768000";
const cookieName = "SERVERID";

/**
 * What Services mean to service-loadbalancer (kubernetes/contrib): each TCP port of each Service at `/NAME`, or `/NAME:PORT` when the port is
 * not 80, on the port for HTTP; those with `lb.sslTerm` on the one for HTTPS; those of `--tcp-services` on ports of their own. Where two
 * namespaces have the same name, the older Service has `/NAME`, and each `/NAMESPACE/NAME`. Pure.
 */
export function translateServices(input: TranslateInput): ServiceRoutes {
  const problems: Problem[] = [];
  const ways: ServiceRoutes["ways"][number][] = [];
  const pools = new Map<string, Pool>();
  const http = createHostTable("Ingress", (problem) => problems.push(problem));
  const https = createHostTable("Ingress", (problem) => problems.push(problem));
  const streams = new Map<number, Listener>();
  let secure = false;

  const served = input.services.filter((service) => isServed(service, input)).sort(byAge);
  const named = new Map<string, number>();
  for (const { metadata } of served) named.set(metadata.name, (named.get(metadata.name) ?? 0) + 1);
  const first = new Map<string, Service>();
  for (const service of served) if (!first.has(service.metadata.name)) first.set(service.metadata.name, service);

  for (const service of served) {
    const { settings, faults } = readSettings(service, input.balance);
    const object = { kind: "Service", namespace: service.metadata.namespace ?? "", name: service.metadata.name };
    problems.push(...faults.map((fault) => ({ ...fault, object, reason: "InvalidAnnotation" as const })));
    for (const [index, port] of (service.spec.ports ?? []).entries()) {
      // The original has no way for them: a Service may have some beside its TCP ports.
      if ((port.protocol ?? "TCP") !== "TCP") continue;
      const owner: Owner = { object, field: `spec.ports[${index}]` };
      if (isTcp(service, port)) addStream(service, port, settings, owner);
      else addHttp(service, port, settings, owner);
    }
  }

  const owner: Owner = { object: { kind: "Service", name: "" }, field: "" };
  if (input.fallback) {
    const key = "default backend";
    const service = { namespace: "", name: "" };
    pools.set(key, { key, service, port: "", protocol: "http", endpoints: [input.fallback] });
    const route = routeOf("", undefined, ruleOf(key, key, owner, [rewriteTo("/")]), owner);
    http.addDefault(route, []);
    https.addDefault(route, []);
  }
  const server = { kind: "http", hostname: "", owner } as const;
  const listeners: Listener[] = [
    {
      name: "http",
      port: input.httpPort,
      bindPort: input.httpPort,
      protocol: "HTTP",
      servers: new Map([["", { ...server, hosts: http.finish() }]]),
    },
    ...streams.values(),
  ];
  if (secure && input.tls) {
    const { certificates, authorities } = input.tls;
    const clients =
      authorities === undefined ? {} : { clients: { mode: "AllowInsecureFallback" as const, authorities } };
    const tls = { certificates: new Map(certificates.map((one) => [one.hostname, one])), ...clients };
    listeners.push({
      name: "https",
      port: input.httpsPort,
      bindPort: input.httpsPort,
      protocol: "HTTPS",
      servers: new Map([["", { ...server, hosts: https.finish(), tls }]]),
    });
  }
  return { model: { listeners, pools }, problems, ways };

  function isTcp(service: Service, port: ServicePort): boolean {
    return isTcpService(input.tcpServices, service, port);
  }

  function addStream(service: Service, port: ServicePort, settings: ServiceSettings, of: Owner): void {
    const before = streams.get(port.port);
    if (before || port.port === input.httpPort) {
      const winner = [...(before?.servers.values() ?? [])][0]?.owner.object;
      problems.push({
        object: of.object,
        field: of.field,
        reason: "Conflict",
        message: `port ${port.port} is ${winner ? `that of Service ${winner.namespace ?? ""}/${winner.name}` : "the one for HTTP"}`,
        remedy: "use another port, or name one Service by NAMESPACE/NAME:PORT in --tcp-services",
      });
      return;
    }
    const pool = addPool(service, port, settings, "tcp");
    const id = `tcp ${port.port}`;
    const any: StreamRoute = { id, host: "", rule: ruleOf(id, pool, of), owner: of };
    const table = { exact: new Map(), wildcard: new Map(), any };
    streams.set(port.port, {
      name: id,
      port: port.port,
      bindPort: port.port,
      protocol: "TCP",
      servers: new Map([["", { kind: "stream", hostname: "", streams: table, owner: of }]]),
    });
    ways.push({ service: keyOf(service), port: port.port, at: `tcp :${port.port}`, balance: settings.balance });
  }

  function addHttp(service: Service, port: ServicePort, settings: ServiceSettings, of: Owner): void {
    if (settings.sslTerm && !input.tls) {
      problems.push({
        object: of.object,
        field: `metadata.annotations[${annotations.sslTerm}]`,
        reason: "InvalidCertificate",
        message: "it is to be served by HTTPS, and there is no certificate; it is not served in clear",
        remedy: "give --ssl-cert",
      });
      return;
    }
    const table = settings.sslTerm ? https : http;
    if (settings.sslTerm) secure = true;
    const pool = addPool(service, port, settings, "http");
    const filters: Filter[] = settings.sslTerm
      ? [
          {
            type: "ResponseHeaders",
            changes: { set: [{ name: "strict-transport-security", value: hsts }], add: [], remove: [] },
          },
        ]
      : [];
    const add = (path: PathMatch, rewritten: boolean): void => {
      const id = `${keyOf(service)}:${port.port} ${settings.host || "*"} ${path.type} ${path.value}`;
      const cookie = settings.cookie ? { affinity: { cookie: cookieName, secure: false } } : {};
      const rule = { ...ruleOf(id, pool, of, rewritten ? [...filters, rewritePrefix] : filters), ...cookie };
      table.addHost(settings.host);
      table.add(routeOf(settings.host, path, rule, of));
      const scheme = settings.sslTerm ? "https" : "http";
      const at = `${scheme}://${settings.host || "*"}${path.value || "/"}`;
      ways.push({ service: keyOf(service), port: port.port, at, balance: settings.balance });
    };
    if (settings.paths) {
      const { prefixes, ignoreCase } = settings.paths;
      // As HAProxy's path_beg: /test is the beginning of /testing as well.
      for (const one of prefixes)
        add({ type: "RegularExpression", value: `${ignoreCase ? "(?i)" : ""}${escaped(one)}.*` }, false);
      return;
    }
    const { namespace = "", name } = service.metadata;
    const end = port.port === 80 ? "" : `:${port.port}`;
    if (first.get(name) === service) add({ type: "Prefix", value: `/${name}${end}` }, true);
    if ((named.get(name) ?? 0) > 1) add({ type: "Prefix", value: `/${namespace}/${name}${end}` }, true);
    // A host of its own leads there by itself.
    if (settings.host && first.get(name) === service && isFirstPort(service, port))
      add({ type: "Prefix", value: "" }, false);
  }

  function isFirstPort(service: Service, port: ServicePort): boolean {
    return (service.spec.ports ?? []).find((one) => (one.protocol ?? "TCP") === "TCP" && !isTcp(service, one)) === port;
  }

  function addPool(
    service: Service,
    port: ServicePort,
    { balance }: ServiceSettings,
    protocol: "http" | "tcp",
  ): string {
    const target: PoolTarget = {
      namespace: service.metadata.namespace ?? "",
      service: service.metadata.name,
      port: port.name ? { name: port.name } : { number: port.port },
      protocol,
      balance,
      variant: balance,
    };
    const { pool } = poolOf(target, service, input.slices(keyOf(service)));
    const endpoints = input.forwardServices ? clusterEndpoints(service, port) : pool.endpoints;
    pools.set(pool.key, { ...pool, endpoints });
    return pool.key;
  }
}

/** Whether `--tcp-services` names a port. */
export function isTcpService(named: readonly TcpService[], { metadata }: Service, { port }: ServicePort): boolean {
  return named.some(
    (one) =>
      one.name === metadata.name &&
      one.port === port &&
      (one.namespace === undefined || one.namespace === metadata.namespace),
  );
}

/** Whether service-loadbalancer serves a Service. */
export function isServed(
  { metadata, spec }: Service,
  { targetService, namespace }: Pick<TranslateInput, "targetService" | "namespace">,
): boolean {
  // What has a load balancer already needs none, and an ExternalName no endpoint stands behind.
  if (spec.type === "LoadBalancer" || spec.type === "ExternalName") return false;
  if (metadata.labels?.[frontEndLabel] !== undefined || metadata.deletionTimestamp) return false;
  if (namespace !== undefined && metadata.namespace !== namespace) return false;
  return targetService === undefined || targetService === metadata.name || targetService === keyOf({ metadata });
}

/** Oldest first: of one name, the older has what both want. */
export function byAge(a: Service, b: Service): number {
  const age = ({ metadata }: Service) => `${metadata.creationTimestamp ?? "9"} ${keyOf({ metadata })}`;
  return age(a) < age(b) ? -1 : 1;
}

export function clusterEndpoints({ metadata, spec }: Service, { port }: ServicePort): Endpoint[] {
  const { namespace = "", name } = metadata;
  return (spec.clusterIPs ?? (spec.clusterIP ? [spec.clusterIP] : []))
    .filter((address) => address !== "None")
    .map((address) => ({
      address,
      port,
      ready: true,
      owner: { object: { kind: "Service", namespace, name }, field: "spec.clusterIP" },
    }));
}

const rewritePrefix: Filter = { type: "Rewrite", path: { type: "ReplacePrefixMatch", value: "/" } };
const rewriteTo = (value: string): Filter => ({ type: "Rewrite", path: { type: "ReplaceFullPath", value } });
const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");

function ruleOf(id: string, pool: string, owner: Owner, filters: readonly Filter[] = []): Rule {
  return { id, filters, backends: [{ pool, weight: 1, filters: [], owner }], timeouts: {}, owner };
}

function routeOf(host: string, path: PathMatch | undefined, rule: Rule, owner: Owner): Route {
  return { id: rule.id, host, headers: [], query: [], rule, owner, ...(path ? { path } : {}) };
}
