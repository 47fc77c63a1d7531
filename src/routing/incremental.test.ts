import { expect, test } from "vitest";
import type { EndpointSlice, Ingress, IngressClass, Secret, Service } from "../kube/index.ts";
import { createTranslationMemory, type IngressInput, translateIngresses, type TranslationMemory } from "./ingress.ts";
import { ingress, ingressClass, numbers, plain, rule, service, slice, to } from "./testing.ts";

const prefix = "nginx.ingress.kubernetes.io/";

const annotations: readonly Readonly<Record<string, string>>[] = [
  {},
  { "use-regex": "true" },
  { "rewrite-target": "/$1" },
  { canary: "true", "canary-weight": "10" },
  { "server-alias": "alias.test, b.test" },
  { "from-to-www-redirect": "true" },
  { "auth-type": "basic", "auth-secret": "users" },
  { "auth-url": "http://b.test/check" },
  { "default-backend": "c" },
  { "proxy-read-timeout": "x", "whitelist-source-range": "y" },
];
const hosts = ["a.test", "b.test", "www.a.test", "*.wild.test", undefined];
const paths = ["/", "/x", "/x/", "/X", "/x/y", "/(a|b)"];

interface World {
  readonly ingresses: Map<string, Ingress>;
  readonly services: Map<string, Service>;
  readonly slices: Map<string, EndpointSlice>;
  readonly secrets: Map<string, Secret>;
  readonly classes: Map<string, IngressClass>;
  options: Record<string, string>;
  standard: string | undefined;
  /** What is another one since the last translation that remembers. */
  changed: { services: Set<string>; secrets: Set<string> };
}

function beginning(): World {
  return {
    ingresses: new Map(),
    services: new Map(["a", "b", "c"].map((name) => [name, service(name)])),
    slices: new Map(["a", "b", "c", "d"].map((name) => [name, slice(name, [{ addresses: ["10.0.0.1"] }])])),
    secrets: new Map(),
    classes: new Map([
      ["ours", ingressClass("ours")],
      ["nginx", ingressClass("nginx", { controller: "nginx" })],
    ]),
    options: {},
    standard: undefined,
    changed: { services: new Set(), secrets: new Set() },
  };
}

function change(world: World, random: () => number): void {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const kind = random();
  if (kind < 0.1) {
    const name = pick(["a", "b", "c", "d"]);
    if (!world.services.delete(name)) world.services.set(name, service(name));
    world.changed.services.add(`ns/${name}`);
  } else if (kind < 0.15) {
    const name = pick(["a", "b", "c", "d"]);
    world.slices.set(name, slice(name, [{ addresses: [`10.0.0.${1 + Math.floor(random() * 3)}`] }]));
    world.changed.services.add(`ns/${name}`);
  } else if (kind < 0.25) {
    const name = pick(["users", "users", "more"]);
    const key = pick(["eA==", "eA==", "YmFk"]);
    const data = { auth: Buffer.from(String(random())).toString("base64"), "tls.crt": "eA==", "tls.key": key };
    if (!world.secrets.delete(name))
      world.secrets.set(name, {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name, namespace: "ns", resourceVersion: String(random()) },
        data,
      });
    world.changed.secrets.add(`ns/${name}`);
  } else if (kind < 0.28)
    world.options = pick([{}, { "ssl-redirect": "false" }, { "global-auth-url": "http://a.ns.svc/" }]);
  else if (kind < 0.3) world.standard = pick([undefined, "ns/users", "ns/more"]);
  else if (kind < 0.32) {
    const name = pick(["ours", "nginx"]);
    if (!world.classes.delete(name))
      world.classes.set(name, ingressClass(name, name === "ours" ? {} : { controller: "nginx" }));
  } else if (kind < 0.36 && world.ingresses.size > 0) {
    // The same objects, as a cache that was filled anew may have them in another order.
    const all = [...world.ingresses];
    world.ingresses.clear();
    for (const [name, each] of all.reverse()) world.ingresses.set(name, each);
  } else {
    const name = `i${Math.floor(random() * 12)}`;
    if (random() < 0.3 && world.ingresses.delete(name)) return;
    const given = Object.fromEntries(Object.entries(pick(annotations)).map(([key, value]) => [prefix + key, value]));
    const some = Array.from({ length: 1 + Math.floor(random() * 2) }, () =>
      rule(pick(hosts), [pick(["Prefix", "Exact"]), pick(paths), pick(["a", "b", "c"])] as [string, string, string]),
    );
    world.ingresses.set(
      name,
      ingress(
        name,
        {
          ingressClassName: pick(["ours", "nginx", "nginx", "nginx"]),
          rules: random() < 0.9 ? some : [],
          ...(random() < 0.2 ? { defaultBackend: to(pick(["a", "d"])) } : {}),
          ...(random() < 0.3
            ? {
                tls: pick([
                  [{ hosts: [pick(["a.test", "b.test"])], secretName: pick(["users", "more"]) }],
                  [{ secretName: pick(["users", "more"]) }],
                  [
                    { hosts: ["a.test"], secretName: "users" },
                    { hosts: ["a.test", "b.test"], secretName: "more" },
                  ],
                ]),
              }
            : {}),
        },
        { annotations: given, created: `2030-01-0${1 + Math.floor(random() * 9)}T00:00:00Z` },
      ),
    );
  }
}

function translated(world: World, memory?: TranslationMemory, changed?: IngressInput["changed"]) {
  const input: IngressInput = {
    ingresses: [...world.ingresses.values()],
    classes: [...world.classes.values()],
    service: (key) => world.services.get(key.slice(3)),
    slices: (key) => [world.slices.get(key.slice(3))].flatMap((each) => each ?? []),
    secret: (key) => world.secrets.get(key.slice(3)),
    inspect: (_certificate, key) => (key === "bad" ? "has a bad key" : undefined),
    controllerName: "example.test/ours",
    nginx: { controllers: ["nginx"], options: world.options },
    ports: { http: 80, https: 443 },
    ...(world.standard === undefined ? {} : { defaultCertificate: world.standard }),
    ...(memory ? { memory } : {}),
    ...(changed ? { changed } : {}),
  };
  return translateIngresses(input);
}

/** Everything that it says, in an order that does not depend on what was made first. */
function told({ model, problems, served, targets }: ReturnType<typeof translated>): unknown {
  return {
    listeners: plain(model.listeners),
    pools: plain(model.pools),
    targets: plain(targets),
    served: served.map(({ metadata }) => metadata.name),
    problems: problems.map((problem) => JSON.stringify(problem)).sort(),
  };
}

const used = { Service: ["a", "b", "c", "d"], Secret: ["users", "more"] };
const seeds = [1, 2, 3, 4];

test.each(seeds)("what is remembered never changes what a translation says (seed %d)", (seed) => {
  const random = numbers(seed);
  const world = beginning();
  const memory = createTranslationMemory();
  for (let step = 0; step < 300; step++) {
    for (let changes = random() < 0.8 ? 1 : 5; changes > 0; changes--) change(world, random);
    // Half of them are told what may be otherwise, as the controller does it.
    const remembering = translated(world, memory, seed % 2 ? world.changed : undefined);
    world.changed = { services: new Set(), secrets: new Set() };
    const fresh = translated(world);
    expect([step, told(remembering)]).toEqual([step, told(fresh)]);
    for (const [kind, names] of Object.entries(used))
      for (const name of names)
        if (fresh.uses(kind as keyof typeof used, `ns/${name}`))
          expect([step, name, remembering.uses(kind as keyof typeof used, `ns/${name}`)]).toEqual([step, name, true]);
  }
});

test("what is the same as the last time is the same object", () => {
  const world = beginning();
  const random = numbers(7);
  for (let i = 0; i < 50; i++) change(world, random);
  const memory = createTranslationMemory();
  const parts = () => {
    const { model, served, targets } = translated(world, memory);
    const server = model.listeners[0]?.servers.get("");
    return [model.pools, server?.kind === "http" && server.hosts, targets, served];
  };
  const [before, after] = [parts(), parts()];
  for (const [index, part] of before.entries()) expect(after[index]).toBe(part);
});

test("hosts whose Ingresses are the same keep their routes, those of ingress-nginx too", () => {
  const world = beginning();
  for (let i = 0; i < 20; i++)
    world.ingresses.set(
      `i${i}`,
      ingress(`i${i}`, {
        ingressClassName: i % 2 ? "nginx" : "ours",
        rules: [rule(`h${i}.test`, ["Prefix", "/x/", "a"])],
      }),
    );
  const memory = createTranslationMemory();
  const hostsOf = () => {
    const server = translated(world, memory).model.listeners[0]?.servers.get("");
    return server?.kind === "http" ? server.hosts.exact : new Map<string, never>();
  };
  const before = hostsOf();
  world.ingresses.set(
    "i3",
    ingress("i3", { ingressClassName: "nginx", rules: [rule("h3.test", ["Prefix", "/y", "b"])] }),
  );
  const after = hostsOf();
  const changed = [...after.keys()].filter((host) => after.get(host) !== before.get(host));
  expect(changed).toEqual(["h3.test"]);
});
