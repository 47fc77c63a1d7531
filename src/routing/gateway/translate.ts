import { type ConfigMap, type EndpointSlice, keyOf, type Secret, type Service } from "../../kube/index.ts";
import { leadsProofs } from "../challenge.ts";
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
import { createGatewayMemory, type GatewayMemory } from "./memory.ts";
import { readCertificate } from "./references.ts";
import type { RouteAt, RouteReading, RouteReport, RouteWorld, Shadow } from "./route-table.ts";
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
  /**
   * With `memory`: the Services (by themselves or by their EndpointSlices) and Namespaces (by their labels) that may be others than at the last translation with it.
   * Default: all may, so each that is used is looked at.
   */
  readonly changed?: { readonly services: ReadonlySet<string>; readonly namespaces: ReadonlySet<string> };
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
  /** By `kind namespace/name`. */
  readonly routes: ReadonlyMap<string, RouteReport>;
  readonly policies: readonly PolicyReport[];
  readonly problems: readonly Problem[];
  /** What each pool of the model stands for, to make it anew when its endpoints change. */
  readonly targets: ReadonlyMap<string, PoolTarget>;
  /** Whether an object, by `namespace/name`, was asked for: a change of any other means nothing. */
  readonly uses: (kind: "Service" | "Secret" | "ConfigMap" | "Namespace", key: string) => boolean;
}

/** Name of the model's listener for a port of a Gateway. */
export function listenerName(gateway: string, transport: string, port: number): string {
  return `${gateway} ${transport} ${port}`;
}

/** What the objects of the Gateway API mean (v1.6). Faults become conditions; all else still works. */
export function translateGateways(input: GatewayInput): GatewayTranslation {
  const { memory = createGatewayMemory(), changed } = input;
  const asked = { secrets: new Set<string>(), configMaps: new Set<string>(), namespaces: new Set<string>() };
  const references: ListenerInput = {
    ...input,
    permits: permitsOf(input.grants),
    secret: (key) => input.secret(noted(asked.secrets, key)),
    configMap: (key) => input.configMap(noted(asked.configMaps, key)),
    namespaceLabels: (name) => input.namespaceLabels(noted(asked.namespaces, name)),
  };
  const problems: Problem[] = [];
  /** Problems of routes by `kind namespace/name`, with the listeners that have them. */
  const shadows = new Map<string, Shadow[]>();
  const classes = input.classes.filter(({ spec }) => spec.controllerName === input.controllerName);
  const classNames = new Set(classes.map(({ metadata }) => metadata.name));
  const gateways = oldestFirst(input.gateways.filter(({ spec }) => classNames.has(spec.gatewayClassName)));
  const sets = setsByGateway(input.listenerSets);

  const holders = new Map<string, OurGateway>();
  const drafts = gateways.map((gateway) => {
    const listeners = readListeners(gateway, sets.get(keyOf(gateway)) ?? [], references);
    const ours: OurGateway = { gateway, listeners };
    holders.set(holderKey(gateway), ours);
    for (const { set } of listeners.sets) holders.set(holderKey(set), ours);
    const client = clientCertificate(gateway);
    return { ...ours, client };
  });
  const clients = new Map(drafts.map(({ gateway, client }) => [keyOf(gateway), client]));
  const backends = createBackends(input.policies, references);

  const entries = drafts.flatMap(({ listeners: { own, sets: added } }) => [
    ...own,
    ...added.flatMap((set) => set.entries),
  ]);
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

  const readings = memory.routes.read(
    {
      HTTPRoute: input.httpRoutes,
      GRPCRoute: input.grpcRoutes,
      TLSRoute: input.tlsRoutes,
      TCPRoute: input.tcpRoutes,
      UDPRoute: input.udpRoutes,
    },
    surroundings,
    ask,
    readRoute,
    changed && { service: changed.services, labels: changed.namespaces },
  );
  for (const entry of entries) entry.attached = memory.routes.attachedTo(entryKey(entry)).count;
  const { pools, targets } = memory.pools.read(readings, {
    service: input.service,
    slices: input.slices,
    ...(changed ? { changed: changed.services } : {}),
  });

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

  memory.keepHosts(tables);
  return {
    model: { listeners, pools },
    classes,
    gateways: reports,
    routes: memory.routes.reports(shadows),
    policies: backends
      .policies((target) => memory.routes.gatewaysTo(target))
      .map(({ policy, gateways: keys, conditions }) => ({
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
    targets,
    uses: (kind, key) => {
      if (kind === "Service") return memory.routes.asks("service", key);
      if (kind === "Secret") return asked.secrets.has(key);
      if (kind === "ConfigMap") return asked.configMaps.has(key);
      return asked.namespaces.has(key) || memory.routes.asks("labels", key);
    },
  };

  function clientCertificate(gateway: Gateway): Certificate | RefFault | undefined {
    const ref = gateway.spec.tls?.backend?.clientCertificateRef;
    if (!ref) return undefined;
    const field = "spec.tls.backend.clientCertificateRef";
    const referrer = { kind: "Gateway", namespace: gateway.metadata.namespace ?? "" };
    return readCertificate(references, referrer, ref, { object: refOf(gateway), field });
  }

  /** What a route means, beside its endpoints: it goes by the route, by what `ask` answers, and by `surroundings`. */
  function readRoute(kind: RouteKindName, route: AnyRoute, ask: Ask<RouteWorld>): RouteReading {
    const object = refOf(route);
    const isProof = kind === "TLSRoute" && leadsProofs(route);
    const namespaceLabels = (namespace: string) => ask("labels", namespace);
    const attachments = attach(kind, route, { holders, namespaceLabels });
    if (attachments.length === 0) return { object, isProof, at: new Map(), backends: [] };
    const readings = readMatches(kind, route);
    const resolved = new Map<string, RulesResolved>();
    const at = new Map<string, RouteAt>();
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
          service: (key) => ask("service", key),
          uses,
        };
        resolved.set(gateway, (rules = resolveRules(route, user, backends)));
      }
      const add = (entry: ListenerEntry, place: () => Omit<RouteAt, "parents">): void => {
        const key = entryKey(entry);
        // By several parents it is there once.
        const { parents: others, ...here } = at.get(key) ?? { parents: [], ...place() };
        at.set(key, { ...here, parents: [...others, parent] });
      };
      return parentStatus(kind, route, attachment, readings, rules, add);
    });
    return { object, report: { kind, route, parents }, isProof, at, backends: uses };
  }

  function parentStatus(
    kind: RouteKindName,
    route: AnyRoute,
    attachment: Attachment,
    readings: readonly RuleReading[],
    { rules, faults, unsupported }: RulesResolved,
    add: (entry: ListenerEntry, place: () => Omit<RouteAt, "parents">) => void,
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
      for (const { entry, hostnames } of attachment.at)
        add(entry, () => {
          const routes = isHttp ? routesFor(route, hostnames, readings, rules) : [];
          return {
            source: { hosts: [...new Set(routes.map(({ host }) => host))], routes },
            streams: isHttp ? [] : streamsFor(route, hostnames, rules),
          };
        });
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
      const led = all.flatMap((entry) => memory.routes.attachedTo(entryKey(entry)).proofs);
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
    const key = entryKey(entry);
    const { sources, streams } = memory.routes.attachedTo(key);
    if (spec.protocol === "HTTP" || spec.protocol === "HTTPS") {
      tables.add(key);
      const hosts = memory.hosts(key).table(sources, (problem) => {
        problems.push(problem);
        addTo(shadows, textOf(problem.object), { entry: key, why: `${problem.field}: ${problem.message}` });
      });
      return { kind: "http", ...base, hosts };
    }
    return { kind: "stream", ...base, streams: tableOf(streams) };
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

function noted(keys: Set<string>, key: string): string {
  keys.add(key);
  return key;
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
