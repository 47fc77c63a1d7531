import { expect, test } from "vitest";
import type { Ingress, Secret, Service } from "../kube/index.ts";
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
  readonly secrets: Map<string, Secret>;
  options: Record<string, string>;
}

function change(world: World, random: () => number): void {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const kind = random();
  if (kind < 0.15) {
    const name = pick(["a", "b", "c", "d"]);
    if (!world.services.delete(name)) world.services.set(name, service(name));
  } else if (kind < 0.25) {
    const data = { auth: Buffer.from(String(random())).toString("base64"), "tls.crt": "eA==", "tls.key": "eA==" };
    if (!world.secrets.delete("users"))
      world.secrets.set("users", {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "users", namespace: "ns", resourceVersion: String(random()) },
        data,
      });
  } else if (kind < 0.3)
    world.options = pick([{}, { "ssl-redirect": "false" }, { "global-auth-url": "http://a.ns.svc/" }]);
  else {
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
          ...(random() < 0.3 ? { tls: [{ hosts: [pick(["a.test", "b.test"])], secretName: "users" }] } : {}),
        },
        { annotations: given, created: `2030-01-0${1 + Math.floor(random() * 9)}T00:00:00Z` },
      ),
    );
  }
}

function translated(world: World, memory?: TranslationMemory) {
  const input: IngressInput = {
    ingresses: [...world.ingresses.values()],
    classes: [ingressClass("ours"), ingressClass("nginx", { controller: "nginx" })],
    service: (key) => world.services.get(key.slice(3)),
    slices: (key) => slices.get(key) ?? [],
    secret: (key) => world.secrets.get(key.slice(3)),
    inspect: () => undefined,
    controllerName: "example.test/ours",
    nginx: { controllers: ["nginx"], options: world.options },
    ports: { http: 80, https: 443 },
    ...(memory ? { memory } : {}),
  };
  return translateIngresses(input);
}
const slices = new Map(
  ["a", "b", "c", "d"].map((name) => [`ns/${name}`, [slice(name, [{ addresses: ["10.0.0.1"] }])]]),
);

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

test.each([1, 2, 3])("what is remembered never changes what a translation says (seed %d)", (seed) => {
  const random = numbers(seed);
  const world: World = { ingresses: new Map(), services: new Map(), secrets: new Map(), options: {} };
  for (const name of ["a", "b", "c"]) world.services.set(name, service(name));
  const memory = createTranslationMemory();
  for (let step = 0; step < 80; step++) {
    change(world, random);
    const fresh = translated(world);
    const remembering = translated(world, memory);
    memory.keepPools(remembering.model.pools);
    expect([step, told(remembering)]).toEqual([step, told(fresh)]);
  }
});

test("hosts whose Ingresses are the same keep their routes, those of ingress-nginx too", () => {
  const world: World = { ingresses: new Map(), services: new Map(), secrets: new Map(), options: {} };
  for (const name of ["a", "b", "c"]) world.services.set(name, service(name));
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
