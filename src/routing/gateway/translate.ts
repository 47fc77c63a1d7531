import { type ConfigMap, type EndpointSlice, keyOf, type Secret, type Service } from "../../kube/index.ts";
import { leadsProofs } from "../challenge.ts";
import type { HostSource } from "../hosts.ts";
import type { Certificate, Listener, RoutingModel, Server, StreamRoute, StreamTable, Termination } from "../model.ts";
import { oldestFirst, refOf, textOf } from "../owner.ts";
import type { PoolTarget } from "../pool.ts";
import type { Problem } from "../problem.ts";
import type { Ask } from "../recall.ts";
import type { InspectKeyPair } from "../tls.ts";
import { attach, type Attachment, type OurGateway } from "./attach.ts";
import { createBackends, type BackendUse, type BackendUser } from "./backends.ts";
import { no, observed, type RefFault, resolvedRefs, yes } from "./conditions.ts";
import { permitsOf } from "./grants.ts";
import { holderKey, type ListenerEntry, type ListenerInput, protocolOf, readListeners } from "./listeners.ts";
import {
  createGatewayMemory,
  type GatewayMemory,
  type RouteAt,
  type RouteReading,
  type RouteReport,
  type RouteWorld,
  type Shadows,
} from "./memory.ts";
import { readCertificate } from "./references.ts";
import { readMatches, resolveRules, routesFor, type RuleReading, type RulesResolved, streamsFor } from "./rules.ts";
import {
  type AncestorStatus,
  type AnyRoute,
  type BackendTLSPolicy,
  type Gateway,
  type GatewayClass,
  type GatewayCondition,
  gatewayGroup,
  type GRPCRoute,
  type HTTPRoute,
  type ListenerSet,
  type ParentStatus,
  type ReferenceGrant,
  type RouteKindName,
} from "./types.ts";

/** All objects of the Gateway API, and look-ups (by `namespace/name`) for what they name. */
export interface GatewayInput {
  /** `spec.controllerName` of the classes that are ours. */
  readonly controllerName: string;
  readonly classes: readonly GatewayClass[];
  readonly gateways: readonly Gateway[];
  readonly listenerSets: readonly ListenerSet[];
  readonly httpRoutes: readonly HTTPRoute[];
  readonly grpcRoutes: readonly GRPCRoute[];
  readonly tlsRoutes: readonly AnyRoute[];
  readonly tcpRoutes: readonly AnyRoute[];
  readonly udpRoutes: readonly AnyRoute[];
  readonly grants: readonly ReferenceGrant[];
  readonly policies: readonly BackendTLSPolicy[];
  readonly namespaceLabels: (name: string) => Readonly<Record<string, string>> | undefined;
  readonly service: (key: string) => Service | undefined;
  readonly slices: (key: string) => readonly EndpointSlice[];
  readonly secret: (key: string) => Secret | undefined;
  readonly configMap: (key: string) => ConfigMap | undefined;
  readonly inspect: InspectKeyPair;
  /** What is wrong with PEM certificates of authorities; `undefined` when they can be used. */
  readonly inspectAuthorities: (pem: string) => string | undefined;
  /** DNS names of a certificate's subject, for listeners with several certificates. */
  readonly namesOf: (secret: Certificate) => readonly string[];
  /** What the data plane can do: protocols of listeners, and TLS that ends on some names of a port and not on others. */
  readonly protocols: ReadonlySet<string>;
  readonly mixedTls: boolean;
  readonly endsTls?: boolean;
  /** Port that the data plane opens for a port of a Gateway. The same for the same, always. */
  readonly bindPort: (gateway: string, transport: "TCP" | "UDP", port: number) => number;
  /** For who translates again and again; objects that are the same as before cost next to nothing then. */
  readonly memory?: GatewayMemory;
}

/** A port of a Gateway, and the listener of the model that serves it. */
export interface GatewayPort {
  readonly port: number;
  readonly transport: "TCP" | "UDP";
  readonly bindPort: number;
  /** `Listener.name`; absent when nothing on this port can be served. */
  readonly listener: string;
}

/** What became of a Gateway, but for what only the data plane and the network can confirm. */
export interface GatewayReport extends OurGateway {
  readonly accepted: GatewayCondition;
  readonly resolved: GatewayCondition;
  /** Clients without a valid certificate are let in somewhere. */
  readonly insecure: boolean;
  readonly ports: readonly GatewayPort[];
}

export interface PolicyReport {
  readonly policy: BackendTLSPolicy;
  readonly ancestors: readonly AncestorStatus[];
}

export interface GatewayTranslation {
  readonly model: RoutingModel;
  readonly classes: readonly GatewayClass[];
  readonly gateways: readonly GatewayReport[];
  readonly routes: readonly RouteReport[];
  readonly policies: readonly PolicyReport[];
  readonly problems: readonly Problem[];
  /** What each pool of the model stands for, to make it anew when its endpoints change. */
  readonly targets: ReadonlyMap<string, PoolTarget>;
}

/** Name of the model's listener for a port of a Gateway. */
export function listenerName(gateway: string, transport: string, port: number): string {
  return `${gateway} ${transport} ${port}`;
}

/** What the objects of the Gateway API mean (v1.6). Faults become conditions; all else still works. */
export function translateGateways(input: GatewayInput): GatewayTranslation {
  const permits = permitsOf(input.grants);
  const references = { ...input, permits };
  const memory = input.memory ?? createGatewayMemory();
  const problems: Problem[] = [];
  /** Problems of routes by `kind namespace/name`, with the listeners that have them. */
  const shadows = new Map<string, { readonly entry: string; readonly why: string }[]>();
  const classes = input.classes.filter(({ spec }) => spec.controllerName === input.controllerName);
  const classNames = new Set(classes.map(({ metadata }) => metadata.name));
  const gateways = oldestFirst(input.gateways.filter(({ spec }) => classNames.has(spec.gatewayClassName)));
  const sets = setsByGateway(input.listenerSets);

  const holders = new Map<string, OurGateway>();
  const drafts = gateways.map((gateway) => {
    const listenerInput: ListenerInput = references;
    const listeners = readListeners(gateway, sets.get(keyOf(gateway)) ?? [], listenerInput);
    const ours: OurGateway = { gateway, listeners };
    holders.set(holderKey(gateway), ours);
    for (const { set } of listeners.sets) holders.set(holderKey(set), ours);
    const client = clientCertificate(gateway);
    return { ...ours, client };
  });
  const clients = new Map(drafts.map(({ gateway, client }) => [keyOf(gateway), client]));
  const backends = createBackends(input.policies, { ...references, poolOf: memory.poolOf });

  const entries = new Map(
    drafts.flatMap(({ listeners: { own, sets: added } }) =>
      [...own, ...added.flatMap((set) => set.entries)].map((entry) => [entryKey(entry), entry] as const),
    ),
  );
  const surroundings = memory.surroundings([
    [...input.protocols, input.mixedTls, input.endsTls].join(),
    ...classes,
    ...gateways,
    ...input.grants,
    ...backends.mark,
    ...drafts.flatMap(({ client, listeners: { sets: added } }) => [
      JSON.stringify(client ?? null),
      ...added.flatMap(({ set, allowed }) => [set, allowed]),
    ]),
  ]);
  const answers: { [K in keyof RouteWorld]: (key: string) => RouteWorld[K] } = {
    service: input.service,
    labels: input.namespaceLabels,
  };
  const ask: Ask<RouteWorld> = (what, key) => answers[what](key);

  /** What is attached to each listener, oldest route first. */
  const http = new Map<ListenerEntry, HostSource[]>();
  const streams = new Map<ListenerEntry, StreamRoute[]>();
  /** Those of them that only lead proofs of names. */
  const proofs = new Map<ListenerEntry, StreamRoute[]>();
  const read: readonly RouteReading[] = [
    ...attachAll("HTTPRoute", input.httpRoutes),
    ...attachAll("GRPCRoute", input.grpcRoutes),
    ...attachAll("TLSRoute", input.tlsRoutes),
    ...attachAll("TCPRoute", input.tcpRoutes),
    ...attachAll("UDPRoute", input.udpRoutes),
  ];

  const listeners: Listener[] = [];
  const tables = new Set<string>();
  const reports = drafts.map(({ gateway, listeners: entries, client }): GatewayReport => {
    const { own, sets: added } = entries;
    const accepted = acceptedOf(gateway, own);
    const all = [...own, ...added.flatMap((set) => (set.allowed ? set.entries : []))];
    const ports = isRefused(accepted) ? [] : portsOf(gateway, all);
    return {
      gateway,
      listeners: entries,
      accepted,
      resolved:
        client && "reason" in client
          ? no("ResolvedRefs", clientReason(client), client.message)
          : listenersResolved(own),
      insecure: usesFallback(gateway),
      ports,
    };
  });

  memory.keep({ pools: backends.pools, tables });
  return {
    model: { listeners, pools: backends.pools },
    classes,
    gateways: reports,
    routes: read.flatMap(({ report, at }) => (report ? [memory.shadowed(report, shadowsOn(report, at))] : [])),
    policies: backends.policies().map(({ policy, gateways: keys, conditions }) => ({
      policy,
      ancestors: [...keys].sort().map((key) => {
        const [namespace = "", name = ""] = key.split("/");
        return {
          ancestorRef: { group: gatewayGroup, kind: "Gateway", namespace, name },
          controllerName: input.controllerName,
          conditions: observed(conditions, policy.metadata.generation),
        };
      }),
    })),
    problems,
    targets: backends.targets,
  };

  function clientCertificate(gateway: Gateway): Certificate | RefFault | undefined {
    const ref = gateway.spec.tls?.backend?.clientCertificateRef;
    if (!ref) return undefined;
    const field = "spec.tls.backend.clientCertificateRef";
    const referrer = { kind: "Gateway", namespace: gateway.metadata.namespace ?? "" };
    return readCertificate(references, referrer, ref, { object: refOf(gateway), field });
  }

  function attachAll(kind: RouteKindName, all: readonly AnyRoute[]): RouteReading[] {
    return oldestFirst(all).map((route) => {
      const isProof = kind === "TLSRoute" && leadsProofs(route);
      const reading = memory.route(route, surroundings, ask, (asked) => readRoute(kind, route, asked));
      const { at, uses } = reading;
      for (const { entry: key, source, streams: more } of at) {
        const entry = entries.get(key);
        if (!entry) continue;
        if (!isProof) entry.attached++;
        addTo(http, entry, source);
        for (const stream of more) addTo(isProof ? proofs : streams, entry, stream);
      }
      for (const use of uses) backends.use(use);
      return reading;
    });
  }

  /** What a route means, beside its endpoints: it goes by the route, by what `asked` answers, and by `surroundings`. */
  function readRoute(kind: RouteKindName, route: AnyRoute, asked: Ask<RouteWorld>): RouteReading {
    const namespaceLabels = (namespace: string) => asked("labels", namespace);
    const attachments = attach(kind, route, { holders, namespaceLabels });
    if (attachments.length === 0) return { at: [], uses: [] };
    const readings = readMatches(kind, route);
    const resolved = new Map<string, RulesResolved>();
    const at: RouteAt[] = [];
    const uses: BackendUse[] = [];
    const parents = attachments.map((attachment, parent) => {
      const gateway = keyOf(attachment.gateway.gateway);
      let rules = resolved.get(gateway);
      if (!rules) {
        const client = clients.get(gateway);
        const user: BackendUser = {
          kind,
          namespace: route.metadata.namespace ?? "",
          gateway,
          ...(client && !("reason" in client) ? { client } : {}),
          service: (key) => asked("service", key),
          uses,
        };
        resolved.set(gateway, (rules = resolveRules(route, user, backends)));
      }
      const add = (where: Omit<RouteAt, "parent">): void => void at.push({ ...where, parent });
      return parentStatus(kind, route, attachment, readings, rules, add);
    });
    return { report: { kind, route, parents }, at, uses };
  }

  function shadowsOn({ kind, route }: RouteReport, at: readonly RouteAt[]): Shadows | undefined {
    if (shadows.size === 0) return undefined;
    const found = new Map<number, string[]>();
    for (const { entry, why } of shadows.get(`${kind} ${keyOf(route)}`) ?? [])
      for (const parent of new Set(at.filter((each) => each.entry === entry).map((each) => each.parent)))
        addTo(found, parent, why);
    return found.size === 0 ? undefined : found;
  }

  function parentStatus(
    kind: RouteKindName,
    route: AnyRoute,
    attachment: Attachment,
    readings: readonly RuleReading[],
    { rules, faults, unsupported }: RulesResolved,
    add: (where: Omit<RouteAt, "parent">) => void,
  ): ParentStatus {
    const wrong = [...readings.flatMap((reading) => reading.faults), ...unsupported];
    const none = wrong.length > 0 && readings.every(({ matches }) => matches.length === 0);
    const [first] = wrong;
    const accepted = first && none ? no("Accepted", first.reason, first.message) : attachment.accepted;
    const conditions = [accepted, resolvedRefs(faults)];
    if (accepted.status === "True") {
      if (first)
        conditions.push({ ...yes("PartiallyInvalid", first.reason), message: `Dropped Rule: ${first.message}` });
      const isHttp = kind === "HTTPRoute" || kind === "GRPCRoute";
      for (const { entry, hostnames } of attachment.at) {
        const routes = isHttp ? routesFor(route, hostnames, readings, rules) : [];
        add({
          entry: entryKey(entry),
          source: { hosts: [...new Set(routes.map(({ host }) => host))], routes },
          streams: isHttp ? [] : streamsFor(route, hostnames, rules),
        });
      }
    }
    return {
      parentRef: attachment.parentRef,
      controllerName: input.controllerName,
      conditions: observed(conditions, route.metadata.generation),
    };
  }

  function portsOf(gateway: Gateway, entries: readonly ListenerEntry[]): GatewayPort[] {
    const byPort = new Map<string, ListenerEntry[]>();
    for (const entry of entries) {
      // Without a certificate yet, its names may be proved all the same.
      if (!entry.usable && !(entry.proved && entry.accepted.status === "True")) continue;
      const key = `${entry.transport} ${entry.spec.port}`;
      addTo(byPort, key, entry);
    }
    const key = keyOf(gateway);
    return [...byPort.values()].flatMap((all) => {
      const [first] = all;
      if (!first) return [];
      const { transport } = first;
      const { port } = first.spec;
      const listener = listenerName(key, transport, port);
      const bindPort = input.bindPort(key, transport, port);
      const usable = all.filter((entry) => entry.usable);
      const led = all.flatMap((entry) => proofs.get(entry) ?? []);
      const challenges = all.some(({ proved }) => proved) || led.length > 0 ? { challenges: tableOf(led).exact } : {};
      const served =
        usable.length > 0
          ? { protocol: protocolOf(usable), servers: new Map(usable.map((each) => [each.hostname, serverOf(each)])) }
          : { protocol: "TLS" as const, servers: new Map([["", nobody(first)]]) };
      listeners.push({ name: listener, port, bindPort, ...served, ...challenges });
      return [{ port, transport, bindPort, listener }];
    });
  }

  function serverOf(entry: ListenerEntry): Server {
    const { hostname, owner, spec } = entry;
    const tls = terminationOf(entry);
    const base = { hostname, owner, ...(tls ? { tls } : {}) };
    if (spec.protocol === "HTTP" || spec.protocol === "HTTPS") {
      const key = entryKey(entry);
      tables.add(key);
      const hosts = memory.hosts(key).table(http.get(entry) ?? [], (problem) => {
        problems.push(problem);
        addTo(shadows, textOf(problem.object), { entry: key, why: `${problem.field}: ${problem.message}` });
      });
      return { kind: "http", ...base, hosts };
    }
    return { kind: "stream", ...base, streams: tableOf(streams.get(entry) ?? []) };
  }

  function terminationOf({ certificates, clients: validation }: ListenerEntry): Termination | undefined {
    if (certificates.length === 0) return undefined;
    const byName = new Map<string, Certificate>();
    // With several, each serves the names that it is made out to, and the first what is left.
    if (certificates.length > 1)
      for (const certificate of certificates)
        for (const name of input.namesOf(certificate))
          if (!byName.has(name)) byName.set(name, { ...certificate, hostname: name });
    const [first] = certificates;
    if (first) byName.set("", first);
    return { certificates: byName, ...(validation ? { clients: validation } : {}) };
  }
}

/** Unique name of a listener: its holder and field. */
const entryKey = ({ holder, owner }: ListenerEntry): string => `${holderKey(holder)} ${owner.field}`;

function addTo<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}

function setsByGateway(sets: readonly ListenerSet[]): Map<string, ListenerSet[]> {
  const found = new Map<string, ListenerSet[]>();
  for (const set of sets) {
    const {
      group = gatewayGroup,
      kind = "Gateway",
      namespace = set.metadata.namespace ?? "",
      name,
    } = set.spec.parentRef;
    if (group !== gatewayGroup || kind !== "Gateway") continue;
    const key = `${namespace}/${name}`;
    addTo(found, key, set);
  }
  return found;
}

/** Takes no connection: there is no certificate yet by which one could be ended. */
const nobody = ({ owner }: ListenerEntry): Server => ({ kind: "stream", hostname: "", owner, streams: tableOf([]) });

/** The oldest route has a name alone. */
function tableOf(routes: readonly StreamRoute[]): StreamTable {
  const exact = new Map<string, StreamRoute>();
  const wildcard = new Map<string, StreamRoute>();
  let any: StreamRoute | undefined;
  for (const route of routes) {
    const { host } = route;
    if (host === "") any ??= route;
    else if (host.startsWith("*.")) {
      if (!wildcard.has(host.slice(1))) wildcard.set(host.slice(1), route);
    } else if (!exact.has(host)) exact.set(host, route);
  }
  return { exact, wildcard, ...(any ? { any } : {}) };
}

const clientReason = ({ reason }: RefFault): string =>
  reason === "RefNotPermitted" ? reason : "InvalidClientCertificateRef";

function listenersResolved(own: readonly ListenerEntry[]): GatewayCondition {
  const bad = own.find(({ resolved }) => resolved.status !== "True");
  return bad
    ? no("ResolvedRefs", "ListenersNotResolved", `listener ${bad.spec.name}: ${bad.resolved.message}`)
    : yes("ResolvedRefs");
}

function acceptedOf({ spec }: Gateway, own: readonly ListenerEntry[]): GatewayCondition {
  const { parametersRef } = spec.infrastructure ?? {};
  if (parametersRef)
    return no("Accepted", "InvalidParameters", `no parameters of kind ${parametersRef.kind ?? ""} are known here`);
  const strange = (spec.addresses ?? []).find(({ type = "IPAddress" }) => type !== "IPAddress");
  if (strange) return no("Accepted", "UnsupportedAddress", `addresses of type ${strange.type ?? ""} are not supported`);
  const bad = own.filter(({ accepted }) => accepted.status !== "True");
  if (bad.length === 0) return yes("Accepted");
  const message = bad.map(({ spec: { name }, accepted }) => `listener ${name}: ${accepted.message}`).join("; ");
  return bad.length === own.length
    ? no("Accepted", "ListenersNotValid", message)
    : { ...yes("Accepted", "ListenersNotValid"), message };
}

/** Nothing of it is served; where only its own listeners are no good, those of its ListenerSets still are. */
function isRefused({ status, reason }: GatewayCondition): boolean {
  return status !== "True" && reason !== "ListenersNotValid";
}

function usesFallback({ spec }: Gateway): boolean {
  const { default: standard, perPort = [] } = spec.tls?.frontend ?? {};
  return [standard, ...perPort.map(({ tls }) => tls)].some(
    (each) => each?.validation?.mode === "AllowInsecureFallback",
  );
}
