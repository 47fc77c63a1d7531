import { expect, test } from "vitest";
import type { ConfigMap, EndpointSlice, Secret, Service } from "../../kube/index.ts";
import { changedKeys } from "../derived.ts";
import { numbers, plain, slice } from "../testing.ts";
import { createGatewayMemory, type GatewayMemory } from "./memory.ts";
import {
  gateway,
  gatewayClass,
  http,
  listenerSet,
  route,
  service,
  to,
  translate,
  type World as Input,
} from "./testing.ts";
import type { BackendTLSPolicy, GatewayClass, HTTPRoute, ListenerSet, ReferenceGrant, RouteKindName } from "./types.ts";

interface World {
  readonly routes: Map<string, HTTPRoute>;
  readonly services: Map<string, Service>;
  readonly slices: Map<string, EndpointSlice>;
  readonly secrets: Map<string, Secret>;
  readonly sets: Map<string, ListenerSet>;
  readonly labels: Map<string, Readonly<Record<string, string>>>;
  classes: readonly GatewayClass[];
  gateway: ReturnType<typeof gateway>;
  grants: readonly ReferenceGrant[];
  policies: readonly BackendTLSPolicy[];
  configMaps: readonly ConfigMap[];
  /** What is another one since the last translation that remembers. */
  changed: { services: Set<string>; namespaces: Set<string> };
}

const hosts = ["a.test", "b.test", "*.a.test", undefined];
const kinds: readonly RouteKindName[] = [
  "HTTPRoute",
  "HTTPRoute",
  "HTTPRoute",
  "GRPCRoute",
  "TCPRoute",
  "TLSRoute",
  "UDPRoute",
];
const selector = { matchLabels: { team: "x" } };
const all = { namespaces: { from: "All" as const } };
const certificate = { certificateRefs: [{ name: "pair" }] };
const streams = [
  http("tcp", { port: 90, protocol: "TCP", allowedRoutes: all }),
  http("tls", { port: 91, protocol: "TLS", tls: { mode: "Passthrough" }, allowedRoutes: all }),
  http("udp", { port: 92, protocol: "UDP" }),
];
const gateways = [
  gateway([http("http"), ...streams], { allowedListeners: { namespaces: { from: "All" } } }),
  gateway(
    [
      http("http", { allowedRoutes: { namespaces: { from: "Selector", selector } } }),
      http("a", { hostname: "*.a.test" }),
      ...streams,
    ],
    { allowedListeners: { namespaces: { from: "Selector", selector } } },
  ),
  gateway([http("http", { allowedRoutes: all })]),
  gateway([http("http"), http("https", { port: 443, protocol: "HTTPS", tls: certificate, allowedRoutes: all })], {
    tls: { backend: { clientCertificateRef: { name: "pair" } } },
  }),
];
const grant: ReferenceGrant = {
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "ReferenceGrant",
  metadata: { name: "g", namespace: "ns" },
  spec: {
    from: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", namespace: "other" }],
    to: [{ group: "", kind: "Service" }],
  },
};
const policyFor = (name: string, created: string): BackendTLSPolicy => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "BackendTLSPolicy",
  metadata: { name, namespace: "ns", generation: 1, creationTimestamp: created },
  spec: {
    targetRefs: [{ group: "", kind: "Service", name: "a" }],
    validation: { hostname: "a.test", caCertificateRefs: [{ group: "", kind: "ConfigMap", name: "ca" }] },
  },
});
const policies = [policyFor("p", "2030-01-01T00:00:00Z"), policyFor("q", "2030-01-02T00:00:00Z")];
const authorities = (pem: string): ConfigMap => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "ca", namespace: "ns" },
  data: { "ca.crt": pem },
});
const pair = (version: string): Secret => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "pair", namespace: "ns", resourceVersion: version },
  type: "kubernetes.io/tls",
  data: { "tls.crt": "eA==", "tls.key": "eA==" },
});
const serviceOf = (name: string, random: () => number): Service => {
  const appProtocol = random() < 0.2 ? { appProtocol: "kubernetes.io/h2c" } : {};
  const made = service(name, "ns", appProtocol);
  const udp = { name: "udp", port: 80, protocol: "UDP" as const };
  return { ...made, spec: { ...made.spec, ports: [...(made.spec.ports ?? []), udp] } };
};

function change(world: World, random: () => number): void {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const kind = random();
  if (kind < 0.1) {
    const name = pick(["a", "b", "c", "d"]);
    if (!world.services.delete(name)) world.services.set(name, serviceOf(name, random));
    world.changed.services.add(`ns/${name}`);
  } else if (kind < 0.14) {
    const name = pick(["a", "b", "c", "d"]);
    const ports = [
      { name: "http", port: 8080 },
      { name: "udp", port: 8053, protocol: "UDP" },
    ];
    world.slices.set(name, slice(name, [{ addresses: [`10.0.0.${1 + Math.floor(random() * 3)}`] }], ports));
    world.changed.services.add(`ns/${name}`);
  } else if (kind < 0.18) world.gateway = pick(gateways);
  else if (kind < 0.2) world.classes = random() < 0.2 ? [] : [gatewayClass];
  else if (kind < 0.23) world.grants = world.grants.length > 0 ? [] : [grant];
  else if (kind < 0.27) world.policies = policies.filter(() => random() < 0.5);
  else if (kind < 0.29) world.configMaps = pick([[], [authorities("one")], [authorities("two")]]);
  else if (kind < 0.32) {
    if (!world.secrets.delete("pair")) world.secrets.set("pair", pair(String(random())));
  } else if (kind < 0.37) {
    const name = pick(["ns", "other"]);
    world.labels.set(name, world.labels.get(name)?.["team"] ? {} : { team: "x" });
    world.changed.namespaces.add(name);
  } else if (kind < 0.4) {
    if (!world.sets.delete("s")) world.sets.set("s", listenerSet("s", [http("more", { port: 8080 })]));
  } else if (kind < 0.43) {
    // The same objects, as a cache that was filled anew may have them in another order.
    const before = [...world.routes];
    world.routes.clear();
    for (const [name, each] of before.reverse()) world.routes.set(name, each);
  } else {
    const name = `r${Math.floor(random() * 12)}`;
    if (random() < 0.3 && world.routes.delete(name)) return;
    const host = pick(hosts);
    const parents = [
      { name: "gw", namespace: "ns" },
      { name: "gw", namespace: "ns", sectionName: pick(["http", "a", "none"]) },
      { kind: "ListenerSet", name: "s", namespace: "ns" },
    ];
    const matches = Array.from({ length: 1 + Math.floor(random() * 2) }, () => ({
      path: { type: "PathPrefix", value: pick(["/", "/x", "/x/y"]) },
    }));
    const routeKind = pick(kinds);
    const rule = to(pick(["a", "a", "b", "c", "d"]), random() < 0.4 ? { namespace: "ns" } : {});
    world.routes.set(
      name,
      route(
        name,
        {
          parentRefs: parents.filter(() => random() < 0.6),
          ...(host === undefined ? {} : { hostnames: [host] }),
          rules: [routeKind === "HTTPRoute" ? { ...rule, matches } : rule],
        },
        {
          kind: routeKind,
          namespace: pick(["ns", "ns", "other"]),
          created: `2030-01-0${1 + Math.floor(random() * 9)}T00:00:00Z`,
        },
      ),
    );
  }
}

function translated(world: World, memory?: GatewayMemory, changed?: Input["changed"]) {
  const of = (kind: RouteKindName) => [...world.routes.values()].filter((each) => each.kind === kind);
  const input: Input = {
    classes: world.classes,
    gateways: [world.gateway],
    listenerSets: [...world.sets.values()],
    httpRoutes: of("HTTPRoute"),
    grpcRoutes: of("GRPCRoute"),
    tlsRoutes: of("TLSRoute"),
    tcpRoutes: of("TCPRoute"),
    udpRoutes: of("UDPRoute"),
    grants: world.grants,
    policies: world.policies,
    services: [...world.services.values()],
    slices: (key) => [world.slices.get(key.slice(3))].flatMap((each) => each ?? []),
    secrets: [...world.secrets.values()],
    configMaps: world.configMaps,
    namespaceLabels: (name) => world.labels.get(name),
    ...(memory ? { memory } : {}),
    ...(changed ? { changed } : {}),
  };
  return translate(input);
}

function empty(): World {
  return {
    routes: new Map(),
    services: new Map(["a", "b", "c"].map((name) => [name, service(name)])),
    slices: new Map(["a", "b", "c", "d"].map((name) => [name, slice(name, [{ addresses: ["10.0.0.1"] }])])),
    secrets: new Map(),
    sets: new Map(),
    labels: new Map(),
    classes: [gatewayClass],
    gateway: gateway([http("http")]),
    grants: [],
    policies: [],
    configMaps: [],
    changed: { services: new Set(), namespaces: new Set() },
  };
}

/** Everything that it says, in an order that does not depend on what was made first. */
const told = (translation: ReturnType<typeof translated>) => ({
  ...(plain({ ...translation, uses: undefined }) as object),
  problems: translation.problems.map((problem) => JSON.stringify(problem)).sort(),
});

const used = {
  Service: ["ns/a", "ns/b", "ns/c", "ns/d", "other/a"],
  Secret: ["ns/pair"],
  ConfigMap: ["ns/ca"],
  Namespace: ["ns", "other"],
};

test.each([1, 2, 3, 4])("what is remembered never changes what a translation says (seed %d)", (seed) => {
  const random = numbers(seed);
  const world = empty();
  const memory = createGatewayMemory();
  for (let step = 0; step < 300; step++) {
    for (let changes = random() < 0.8 ? 1 : 5; changes > 0; changes--) change(world, random);
    // Half of them are told what may be otherwise, as the controller does it.
    const remembering = translated(world, memory, seed % 2 ? world.changed : undefined);
    world.changed = { services: new Set(), namespaces: new Set() };
    const fresh = translated(world);
    expect([step, told(remembering)]).toEqual([step, told(fresh)]);
    for (const [kind, names] of Object.entries(used))
      for (const name of names) {
        const ask = ({ uses }: typeof fresh) => uses(kind as keyof typeof used, name);
        expect([step, name, ask(remembering)]).toEqual([step, name, ask(fresh)]);
      }
  }
});

test("a route that is added leaves the hosts and the reports of all others as they are", () => {
  const world = empty();
  for (let i = 0; i < 20; i++)
    world.routes.set(`r${i}`, route(`r${i}`, { hostnames: [`h${i}.test`], rules: [to("a")] }));
  const memory = createGatewayMemory();
  const hostsOf = ({ model }: ReturnType<typeof translated>) => {
    const server = model.listeners[0]?.servers.get("");
    return server?.kind === "http" ? server.hosts.exact : new Map<string, never>();
  };
  const before = translated(world, memory);
  world.routes.set(
    "new",
    route("new", { hostnames: ["h3.test"], rules: [to("b")] }, { created: "2031-01-01T00:00:00Z" }),
  );
  const after = translated(world, memory);
  const [old, now] = [hostsOf(before), hostsOf(after)];
  expect([...now.keys()].filter((host) => now.get(host) !== old.get(host))).toEqual(["h3.test"]);
  expect(changedKeys(before.routes, after.routes)).toEqual(["HTTPRoute ns/new"]);
  const same = [...before.routes].filter(([name, report]) => after.routes.get(name) === report);
  expect(same.length).toBe(20);
});

test("a match that an older route has already is said to be shadowed, until the older one is gone", () => {
  const world = empty();
  const memory = createGatewayMemory();
  const conditions = () => translated(world, memory).routes.get("HTTPRoute ns/late")?.parents[0]?.conditions;
  const shadowed = { type: "fairlead.dev/Shadowed", status: "True", reason: "Conflict", observedGeneration: 1 };
  world.routes.set("early", route("early", { hostnames: ["a.test"], rules: [to("a")] }));
  world.routes.set(
    "late",
    route("late", { hostnames: ["a.test"], rules: [to("b")] }, { created: "2031-01-01T00:00:00Z" }),
  );
  expect(conditions()).toContainEqual({
    ...shadowed,
    message: expect.stringContaining(
      "spec.rules[0].matches[0]: HTTPRoute ns/early (spec.rules[0].matches[0]) comes first",
    ),
  });
  world.routes.delete("early");
  expect(conditions()?.map(({ type }) => type)).toEqual(["Accepted", "ResolvedRefs"]);
});
