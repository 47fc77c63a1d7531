import { type ConfigMap, type EndpointSlice, keyOf, type Secret, type Service } from "../../kube/index.ts";
import { createHostTable, type HostTableBuilder } from "../host-table.ts";
import type { Certificate, Listener, RoutingModel, Server, StreamRoute, StreamTable, Termination } from "../model.ts";
import { oldestFirst, refOf } from "../owner.ts";
import { poolOf, type PoolTarget } from "../pool.ts";
import type { Problem } from "../problem.ts";
import type { InspectKeyPair } from "../tls.ts";
import { attach, type Attachment, type OurGateway } from "./attach.ts";
import { createBackends, type BackendUser } from "./backends.ts";
import { no, observed, type RefFault, resolvedRefs, yes } from "./conditions.ts";
import { permitsOf } from "./grants.ts";
import { holderKey, type ListenerEntry, type ListenerInput, protocolOf, readListeners } from "./listeners.ts";
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
  /** For who translates again and again. */
  readonly memory?: GatewayMemory;
}

/** What was worked out before, by object. */
export interface GatewayMemory {
  readonly readMatches: typeof readMatches;
  readonly poolOf: typeof poolOf;
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

export interface RouteReport {
  readonly kind: RouteKindName;
  readonly route: AnyRoute;
  /** For the parents that are ours, in the order of the object. */
  readonly parents: readonly ParentStatus[];
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
  const memory = input.memory ?? { readMatches, poolOf };
  const problems: Problem[] = [];
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

  /** What is attached to each listener, oldest route first. */
  const http = new Map<ListenerEntry, HostTableBuilder>();
  const streams = new Map<ListenerEntry, StreamRoute[]>();
  const routes: RouteReport[] = [
    ...attachAll("HTTPRoute", input.httpRoutes),
    ...attachAll("GRPCRoute", input.grpcRoutes),
    ...attachAll("TLSRoute", input.tlsRoutes),
    ...attachAll("TCPRoute", input.tcpRoutes),
    ...attachAll("UDPRoute", input.udpRoutes),
  ];

  const listeners: Listener[] = [];
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

  return {
    model: { listeners, pools: backends.pools },
    classes,
    gateways: reports,
    routes,
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

  function attachAll(kind: RouteKindName, all: readonly AnyRoute[]): RouteReport[] {
    return oldestFirst(all).flatMap((route) => {
      const attachments = attach(kind, route, { holders, namespaceLabels: input.namespaceLabels });
      if (attachments.length === 0) return [];
      const readings = memory.readMatches(kind, route);
      const resolved = new Map<string, RulesResolved>();
      const parents = attachments.map((attachment) => {
        const key = keyOf(attachment.gateway.gateway);
        let rules = resolved.get(key);
        if (!rules) resolved.set(key, (rules = resolveRules(route, userOf(kind, route, key), backends)));
        return parentStatus(kind, route, attachment, readings, rules);
      });
      return [{ kind, route, parents }];
    });
  }

  function userOf(kind: RouteKindName, route: AnyRoute, gateway: string): BackendUser {
    const client = clients.get(gateway);
    return {
      kind,
      namespace: route.metadata.namespace ?? "",
      gateway,
      ...(client && !("reason" in client) ? { client } : {}),
    };
  }

  function parentStatus(
    kind: RouteKindName,
    route: AnyRoute,
    attachment: Attachment,
    readings: readonly RuleReading[],
    { rules, faults, unsupported }: RulesResolved,
  ): ParentStatus {
    const wrong = [...readings.flatMap((reading) => reading.faults), ...unsupported];
    const none = wrong.length > 0 && readings.every(({ matches }) => matches.length === 0);
    const [first] = wrong;
    const accepted = first && none ? no("Accepted", first.reason, first.message) : attachment.accepted;
    const conditions = [accepted, resolvedRefs(faults)];
    if (accepted.status === "True") {
      if (first)
        conditions.push({ ...yes("PartiallyInvalid", first.reason), message: `Dropped Rule: ${first.message}` });
      for (const { entry, hostnames } of attachment.at) {
        entry.attached++;
        if (kind === "HTTPRoute" || kind === "GRPCRoute") {
          let table = http.get(entry);
          if (!table) http.set(entry, (table = createHostTable("Gateway", (problem) => problems.push(problem))));
          for (const each of routesFor(route, hostnames, readings, rules)) table.add(each);
        } else {
          const list = streams.get(entry) ?? [];
          list.push(...streamsFor(route, hostnames, rules));
          streams.set(entry, list);
        }
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
      if (!entry.usable) continue;
      const key = `${entry.transport} ${entry.spec.port}`;
      const list = byPort.get(key);
      if (list) list.push(entry);
      else byPort.set(key, [entry]);
    }
    const key = keyOf(gateway);
    return [...byPort.values()].flatMap((shared) => {
      const [first] = shared;
      if (!first) return [];
      const { transport } = first;
      const { port } = first.spec;
      const listener = listenerName(key, transport, port);
      const bindPort = input.bindPort(key, transport, port);
      const servers = new Map(shared.map((entry) => [entry.hostname, serverOf(entry)]));
      listeners.push({ name: listener, port, bindPort, protocol: protocolOf(shared), servers });
      return [{ port, transport, bindPort, listener }];
    });
  }

  function serverOf(entry: ListenerEntry): Server {
    const { hostname, owner, spec } = entry;
    const tls = terminationOf(entry);
    const base = { hostname, owner, ...(tls ? { tls } : {}) };
    if (spec.protocol === "HTTP" || spec.protocol === "HTTPS") {
      const hosts = (http.get(entry) ?? createHostTable("Gateway", () => {})).finish();
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
    const list = found.get(key);
    if (list) list.push(set);
    else found.set(key, [set]);
  }
  return found;
}

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
