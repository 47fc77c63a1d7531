import type { KubeObject } from "../../kube/index.ts";
import {
  type Gateway,
  gatewayGroup,
  type HTTPRoute,
  type ListenerSet,
  type ListenerSpec,
  type ParentRef,
} from "../gateway/types.ts";
import { certificatesOf, type HostRoutes, type Listener, type Route, type RoutingModel, streamsOf } from "../model.ts";
import { textOf } from "../owner.ts";
import { type HttpRule, NotWritable, ruleOf, type RuleLookups } from "./gateway-rules.ts";

export interface GatewayTarget {
  readonly namespace: string;
  readonly name: string;
  readonly className: string;
}

/** A route that became something else, or nothing. */
export interface WritingNote {
  readonly object: string;
  readonly field: string;
  /** `left out`: no object says it, and the Ingress has to stay for it. */
  readonly kind: "left out" | "changed";
  readonly message: string;
}

export interface GatewayObjects {
  readonly gateway: Gateway;
  readonly sets: readonly ListenerSet[];
  readonly routes: readonly HTTPRoute[];
  readonly notes: readonly WritingNote[];
}

/** Rules of one HTTPRoute, and listeners of one ListenerSet (v1.6). */
const [mostRules, mostListeners] = [16, 64];
const apiVersion = `${gatewayGroup}/v1`;

/**
 * The Gateway API's objects that mean what the routes of Ingresses mean, as far as it can say it. Connections that are no HTTP are left out. Certificates stay in their namespaces:
 * each has a ListenerSet there. A route that would lose a guard is left out.
 */
export function gatewayObjects(model: RoutingModel, target: GatewayTarget, lookups: RuleLookups): GatewayObjects {
  const notes: WritingNote[] = [];
  const http = model.listeners.find(({ protocol }) => protocol === "HTTP");
  const https = model.listeners.find(({ protocol }) => protocol === "HTTPS");
  const { sets, sections } = listenerSets(https, target);
  const groups = new Map<string, { host: string; namespace: string; name: string; routes: Written[] }>();

  for (const [host, route] of http ? hostsWith(http) : []) {
    const { object, field } = route.owner;
    const { namespace = "", name } = object;
    try {
      const written = ruleOf(route, namespace, lookups);
      for (const message of new Set(written.notes))
        notes.push({ object: textOf(object), field, kind: "changed", message });
      const key = `${namespace}/${name} ${host}`;
      const group = groups.get(key) ?? { host, namespace, name, routes: [] };
      group.routes.push(written);
      groups.set(key, group);
    } catch (error) {
      if (!(error instanceof NotWritable)) throw error;
      notes.push({ object: textOf(object), field, kind: "left out", message: error.message });
    }
  }

  const taken = new Map<string, number>();
  const routes: HTTPRoute[] = [];
  for (const { host, namespace, name, routes: written } of groups.values()) {
    const secure = sections.get(host) ?? sections.get(host.replace(/^[^.]+/, "*")) ?? sections.get("");
    const clear: ParentRef = {
      ...(target.namespace === namespace ? {} : { namespace: target.namespace }),
      name: target.name,
      sectionName: "http",
    };
    const tls = secure && { ...secure, ...(secure.namespace === namespace ? { namespace } : {}) };
    const push = (parents: readonly ParentRef[], rules: readonly HttpRule[], suffix = ""): void => {
      for (let at = 0; at < rules.length; at += mostRules) {
        const base = `${name}${suffix}`.slice(0, 240);
        const count = (taken.get(`${namespace}/${base}`) ?? 0) + 1;
        taken.set(`${namespace}/${base}`, count);
        routes.push({
          apiVersion,
          kind: "HTTPRoute",
          metadata: { name: count === 1 ? base : `${base}-${count}`, namespace },
          spec: {
            parentRefs: parents,
            ...(host === "" ? {} : { hostnames: [host] }),
            rules: rules.slice(at, at + mostRules),
          },
        });
      }
    };
    const redirected = written.filter(({ sslRedirect }) => sslRedirect !== undefined);
    const plain = written.filter(({ sslRedirect }) => sslRedirect === undefined);
    push(
      [clear, ...(tls ? [tls] : [])],
      plain.flatMap(({ rules }) => rules),
    );
    if (redirected.length === 0) continue;
    if (tls)
      push(
        [tls],
        redirected.flatMap(({ rules }) => rules),
      );
    else
      notes.push({
        object: `Ingress ${namespace}/${name}`,
        field: "spec.tls",
        kind: "left out",
        message: `${host || "every host"} is sent to https, and no certificate is known for it`,
      });
    push(
      [clear],
      redirected.map(({ match, sslRedirect = 308 }) => ({
        matches: [match],
        filters: [{ type: "RequestRedirect", requestRedirect: { scheme: "https", statusCode: sslRedirect } }],
      })),
      "-to-https",
    );
  }
  // No TCPRoute, TLSRoute or UDPRoute is written.
  for (const listener of model.listeners)
    for (const { owner } of streamsOf(listener))
      notes.push({
        object: textOf(owner.object),
        field: owner.field,
        kind: "left out",
        message: `connections to port ${listener.port} (${listener.protocol}) are in no object: keep what says so here, or write a route by hand`,
      });
  const gateway: Gateway = {
    apiVersion,
    kind: "Gateway",
    metadata: { name: target.name, namespace: target.namespace },
    spec: {
      gatewayClassName: target.className,
      listeners: [{ name: "http", port: 80, protocol: "HTTP", allowedRoutes: { namespaces: { from: "All" } } }],
      ...(sets.length > 0 ? { allowedListeners: { namespaces: { from: "All" } } } : {}),
    },
  };
  return { gateway, sets, routes, notes };
}

type Written = ReturnType<typeof ruleOf>;

/** Every route with the host under which it stands. */
function* hostsWith(listener: Listener): Generator<[string, Route]> {
  for (const server of listener.servers.values()) {
    if (server.kind !== "http") continue;
    const { exact, wildcard, any, fallback } = server.hosts;
    for (const [host, routes] of exact) yield* under(host, routes);
    for (const [suffix, routes] of wildcard) yield* under(`*${suffix}`, routes);
    if (any) yield* under("", any);
    if (fallback && !any?.prefix.has("")) yield ["", fallback];
  }
}

function* under(host: string, { exact, regex, prefix, fallback }: HostRoutes): Generator<[string, Route]> {
  for (const list of [...exact.values(), regex, ...prefix.values()]) for (const route of list) yield [host, route];
  if (fallback && !prefix.has("")) yield [host, fallback];
}

function listenerSets(https: Listener | undefined, target: GatewayTarget) {
  const byNamespace = new Map<string, ListenerSpec[]>();
  const sections = new Map<string, ParentRef>();
  for (const { hostname, secret } of https ? certificatesOf(https) : []) {
    const { namespace = "" } = secret;
    const list = byNamespace.get(namespace) ?? [];
    byNamespace.set(namespace, list);
    const name = `https-${list.length + 1}`;
    list.push({
      name,
      ...(hostname === "" ? {} : { hostname }),
      port: 443,
      protocol: "HTTPS",
      tls: { mode: "Terminate", certificateRefs: [{ name: secret.name }] },
      allowedRoutes: { namespaces: { from: "All" } },
    });
    sections.set(hostname, {
      group: gatewayGroup,
      kind: "ListenerSet",
      namespace,
      name: setName(target, Math.floor((list.length - 1) / mostListeners)),
      sectionName: name,
    });
  }
  const sets = [...byNamespace].flatMap(([namespace, listeners]) =>
    Array.from({ length: Math.ceil(listeners.length / mostListeners) }, (_, at): ListenerSet & KubeObject => ({
      apiVersion,
      kind: "ListenerSet",
      metadata: { name: setName(target, at), namespace },
      spec: {
        parentRef: {
          group: gatewayGroup,
          kind: "Gateway",
          ...(namespace === target.namespace ? {} : { namespace: target.namespace }),
          name: target.name,
        },
        listeners: listeners.slice(at * mostListeners, (at + 1) * mostListeners),
      },
    })),
  );
  return { sets, sections };
}

function setName({ name }: GatewayTarget, index: number): string {
  return index === 0 ? `${name}-tls` : `${name}-tls-${index + 1}`;
}
