// What HAProxy and nginx are told after a change is what they would be told of the whole, and no more than what changed.
import { describe, expect, test } from "vitest";
import type { Ingress, Secret, Service } from "../kube/index.ts";
import {
  createTranslationMemory,
  type RoutingModel,
  translateIngresses,
  type TranslationMemory,
} from "../routing/index.ts";
import { ingress, ingressClass, numbers, rule, service, slice, to } from "../routing/testing.ts";
import { silentLogger } from "../system/index.ts";
import type { Configuration } from "./dataplane.ts";
import { defaultLimits } from "./embedded/limits.ts";
import { keptOut } from "./features.ts";
import { refusedBy as refusedByHaproxy } from "./haproxy/capabilities.ts";
import { certificatesFor, createPems } from "./haproxy/certificates.ts";
import type { Command } from "./haproxy/command.ts";
import type { Runtime } from "./haproxy/runtime.ts";
import { assignSlots, noSlots, type Slots } from "./haproxy/slots.ts";
import { createSync, filesOf, type State, type Sync } from "./haproxy/sync.ts";
import { createTables, tagOf } from "./haproxy/tables.ts";
import { endpointRows } from "./haproxy/endpoints.ts";
import { serversOf } from "./haproxy/servers.ts";
import { refusedBy as refusedByNginx } from "./nginx/capabilities.ts";
import { createRowTable, type RowTable } from "./nginx/rows.ts";

const prefix = "nginx.ingress.kubernetes.io/";
const annotations: readonly Readonly<Record<string, string>>[] = [
  {},
  { "use-regex": "true", "rewrite-target": "/$1" },
  { canary: "true", "canary-weight": "10" },
  { "auth-type": "basic", "auth-secret": "users" },
  { "auth-type": "digest", "auth-secret": "users" },
  { "limit-rps": "5", "whitelist-source-range": "10.0.0.0/8" },
  { "default-backend": "c" },
  { affinity: "cookie" },
  { "auth-url": "http://b.test/check" },
  // Longer than a value of a map may be.
  { "whitelist-source-range": Array.from({ length: 250 }, (_, i) => `10.${i}.7.0/24`).join(",") },
];
const hosts = ["a.test", "b.test", "www.a.test", "*.wild.test", undefined];
const paths = ["/", "/x", "/x/y", "/(a|b)"];

interface World {
  readonly ingresses: Map<string, Ingress>;
  readonly services: Map<string, Service>;
  readonly secrets: Map<string, Secret>;
  endpoints: number;
}

function change(world: World, random: () => number): void {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const kind = random();
  if (kind < 0.1) {
    const name = pick(["a", "b", "c"]);
    if (!world.services.delete(name)) world.services.set(name, service(name));
  } else if (kind < 0.2) {
    const data = { auth: Buffer.from(`x:{PLAIN}${random()}`).toString("base64"), "tls.crt": "eA==", "tls.key": "eA==" };
    const metadata = { name: "users", namespace: "ns", resourceVersion: String(random()) };
    if (!world.secrets.delete("users"))
      world.secrets.set("users", { apiVersion: "v1", kind: "Secret", metadata, data });
  } else if (kind < 0.3) world.endpoints++;
  else {
    const name = `i${Math.floor(random() * 12)}`;
    if (random() < 0.3 && world.ingresses.delete(name)) return;
    const given = Object.fromEntries(Object.entries(pick(annotations)).map(([key, value]) => [prefix + key, value]));
    const rules = [rule(pick(hosts), [pick(["Prefix", "Exact"]), pick(paths), pick(["a", "b", "c"])])];
    const spec = {
      ingressClassName: pick(["ours", "nginx", "nginx"]),
      rules: random() < 0.9 ? rules : [],
      ...(random() < 0.2 ? { defaultBackend: to(pick(["a", "d"])) } : {}),
      ...(random() < 0.3 ? { tls: [{ hosts: [pick(["a.test", "b.test"])], secretName: "users" }] } : {}),
    };
    world.ingresses.set(name, ingress(name, spec, { annotations: given }));
  }
}

function configurationOf(world: World, memory: TranslationMemory): Configuration {
  const { model } = translateIngresses({
    ingresses: [...world.ingresses.values()],
    classes: [ingressClass("ours"), ingressClass("nginx", { controller: "nginx" })],
    service: (key) => world.services.get(key.slice(3)),
    slices: (key) => [slice(key.slice(3), [{ addresses: [`10.0.0.${1 + (world.endpoints % 200)}`] }])],
    secret: (key) => world.secrets.get(key.slice(3)),
    inspect: () => undefined,
    controllerName: "example.test/ours",
    nginx: { controllers: ["nginx"], options: {} },
    ports: { http: 80, https: 443 },
    memory,
  });
  return {
    model,
    keyPair: ({ version }) => ({ certificate: `certificate ${version}`, key: `key ${version}` }),
    users: ({ version }) => new Map([["x", `{PLAIN}${version}`]]),
  };
}

function begin(): { world: World; memory: TranslationMemory } {
  const services = new Map(["a", "b", "c"].map((name) => [name, service(name)]));
  const world = { ingresses: new Map(), services, secrets: new Map(), endpoints: 0 };
  return { world, memory: createTranslationMemory() };
}

/** Many hosts, and one more. */
function manyHosts(): readonly [before: Configuration, after: Configuration] {
  const { world, memory } = begin();
  for (let i = 0; i < 300; i++)
    world.ingresses.set(`i${i}`, ingress(`i${i}`, { rules: [rule(`h${i}.test`, ["Prefix", "/", "a"])] }));
  const before = configurationOf(world, memory);
  world.ingresses.set("new", ingress("new", { rules: [rule("new.test", ["Prefix", "/x", "b"])] }));
  return [before, configurationOf(world, memory)];
}

describe("nginx", () => {
  const contextOf = ({ model, keyPair, users }: Configuration) => ({
    idOf: ({ name }: RoutingModel["listeners"][number]) => name,
    keyPair,
    users,
    refused: keptOut(refusedByNginx(model)),
  });

  const asText = ({ rows }: Pick<RowTable, "rows">) =>
    [...rows].map(([name, row]) => `${name} ${row.toString("latin1")}`).sort();

  test.each([1, 2, 3])("the rows of a model do not depend on those before it (seed %d)", (seed) => {
    const random = numbers(seed);
    const { world, memory } = begin();
    const table = createRowTable(defaultLimits);
    const followed: RowTable["rows"] = new Map();
    for (let step = 0; step < 80; step++) {
      change(world, random);
      const configuration = configurationOf(world, memory);
      const { model } = configuration;
      const context = contextOf(configuration);
      // Endpoints may have come before the model that has them.
      const early = random() < 0.3 ? table.followPools([...model.pools.values()]) : [];
      for (const [name, row] of [...early, ...table.follow(model, context)])
        if (row) followed.set(name, row);
        else followed.delete(name);
      const whole = createRowTable(defaultLimits);
      whole.follow(model, context);
      expect([step, asText(table)]).toEqual([step, asText(whole)]);
      expect([step, asText({ rows: followed })]).toEqual([step, asText(whole)]);
    }
  });

  test("endpoints that come and go back are rows again", () => {
    const { world, memory } = begin();
    world.ingresses.set("i", ingress("i", { rules: [rule("h.test", ["Prefix", "/", "a"])] }));
    const table = createRowTable(defaultLimits);
    const first = configurationOf(world, memory);
    table.follow(first.model, contextOf(first));
    const before = asText(table);
    world.endpoints++;
    expect(table.followPools([...configurationOf(world, memory).model.pools.values()]).map(([name]) => name)).toEqual([
      "pool/ns/a:80",
    ]);
    table.follow(first.model, contextOf(first));
    expect(asText(table)).toEqual(before);
  });

  test("a host more among many is one row, and a listener more of the same hosts two", () => {
    const table = createRowTable(defaultLimits);
    const [before, after] = manyHosts();
    table.follow(before.model, contextOf(before));
    expect(table.follow(after.model, contextOf(after)).map(([name]) => name)).toEqual([
      "host/http//new.test",
      "pool/ns/b:80",
    ]);
    const [first] = after.model.listeners;
    const listeners = first ? [...after.model.listeners, { ...first, name: "more" }] : [];
    const names = table.follow({ ...after.model, listeners }, contextOf(after)).map(([name]) => name);
    expect(names).toEqual(["listener/more", "server/more/"]);
    // Who had the rows is gone: they are another's before anybody looks for them there.
    const rest = table.follow({ ...after.model, listeners: listeners.slice(1) }, contextOf(after));
    const written = rest.filter(([, row]) => row).map(([name]) => name);
    expect(written.filter((name) => name.startsWith("host/"))).toHaveLength(301);
    expect(written.at(-1)).toBe("server/more/");
    expect(written.indexOf("server/https/")).toBeGreaterThan(written.findLastIndex((name) => name.startsWith("host/")));
  });
});

describe("HAProxy", () => {
  const directory = "/d";

  /** Makes states as the data plane does, one after the other. */
  function createStates() {
    const tablesOf = createTables();
    const pemsOf = createPems();
    return ({ model, keyPair, users }: Configuration, { taken }: Slots): State => {
      const tables = tablesOf({ model, slots: taken, refused: keptOut(refusedByHaproxy(model)), users });
      const servers = new Map(
        [...model.pools].map(([key, pool]) => [taken.get(key) ?? "", serversOf(pool, directory)]),
      );
      const pems = pemsOf(keyPair);
      const secure = model.listeners.filter(({ protocol }) => protocol === "HTTPS");
      return {
        tables,
        servers: new Map(),
        endpoints: endpointRows(tables.watched, taken, model.pools, servers),
        authorities: new Map(),
        certificates: new Map(
          secure.map((each) => [tagOf(each), certificatesFor(each, tagOf(each), directory, pems, () => "own")]),
        ),
      };
    };
  }

  /** The maps of a process, and how many commands it got for them: what HAProxy would refuse throws. */
  function process(files: readonly (readonly [string, string])[]) {
    const maps = new Map<string, Map<string, string>>();
    for (const [file, text] of files)
      if (file.endsWith(".map")) maps.set(file, new Map(text.split("\n").filter(Boolean).map(pairOf)));
    let commands = 0;
    function follow({ line, payload = [] }: Command): string {
      const [verb, , file = "", key = "", ...rest] = line.replaceAll("\\ ", "\0").split(" ");
      if (!/^(?:add|set|del) map /.test(line))
        return line.startsWith("new ") ? "New empty certificate store" : answerOf(line);
      const map = maps.get(file);
      if (!map) throw new Error(`${file} is no map`);
      commands++;
      for (const [added, text] of payload.map(pairOf)) {
        if (map.has(added)) throw new Error(`${added} is there twice`);
        map.set(added, text);
      }
      if (verb === "set" && map.has(key)) map.set(key, rest.join(" ").replaceAll("\0", " "));
      else if (verb === "del" ? !map.delete(key) : verb === "set") return "Key not found.";
      return "";
    }
    const runtime: Runtime = { run: (command) => Promise.resolve(follow(command)), close: () => {} };
    return { runtime, maps, commands: () => commands };
  }
  const syncOf = (runtime: Runtime, state: State): Sync =>
    createSync({ runtime, directory, tags: new Set(state.tables.listeners), state, log: silentLogger });
  const pairOf = (line: string): [string, string] => {
    const at = line.indexOf(" ");
    return [line.slice(0, at), line.slice(at + 1)];
  };
  const answerOf = (line: string): string => {
    if (line.startsWith("set ssl cert")) return "Transaction created";
    if (line.startsWith("commit")) return "Committing: Success!";
    if (line.startsWith("add ssl")) return "Inserting: Success!";
    return "deleted";
  };

  test.each([1, 2, 3])("a process that follows has the maps of one that begins (seed %d)", async (seed) => {
    const random = numbers(seed);
    const { world, memory } = begin();
    const stateOf = createStates();
    let sync: Sync | undefined;
    let slots = noSlots;
    let running: ReturnType<typeof process> | undefined;
    for (let step = 0; step < 80; step++) {
      change(world, random);
      const configuration = configurationOf(world, memory);
      slots = assignSlots(slots, configuration.model.pools, new Set());
      const next = stateOf(configuration, slots);
      const fresh = process(filesOf(directory, createStates()(configuration, slots)));
      if (sync) await sync.follow(next);
      else {
        running = process(filesOf(directory, next));
        sync = syncOf(running.runtime, next);
      }
      expect([step, running?.maps]).toEqual([step, fresh.maps]);
    }
    sync?.stop();
  });

  test("a host more among many is a few commands", async () => {
    const stateOf = createStates();
    const [before, after] = manyHosts();
    const first = assignSlots(noSlots, before.model.pools, new Set());
    const second = assignSlots(first, after.model.pools, new Set());
    const [old, next] = [stateOf(before, first), stateOf(after, second)];
    const running = process(filesOf(directory, old));
    const sync = syncOf(running.runtime, old);
    await sync.follow(next);
    // The rows for Lua, and hosts and paths of each listener.
    expect(running.commands()).toBe(5);
    sync.stop();
  });
});
