// Every string of every object that reaches a data plane, with values that mean something to what they might get into. What was really
// written is read again: configurations say what they say of plain objects, every other word stays in its place, and neighbours are served.
// INJECTION=full: each value in each place (`npm run abuse:injection`), a number: so many rounds, in which each place has another one.
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { createEventRecorder, createFakeClient, createInformers, type FakeClient } from "../../../src/client/index.ts";
import {
  type DataPlaneName,
  missingFor,
  startDataPlane,
  startGateway,
  startIngress,
} from "../../../src/dataplane/index.ts";
import { type Resource, resources } from "../../../src/kube/index.ts";
import { gatewayResources, type RoutingModel, type StreamServices } from "../../../src/routing/index.ts";
import { createLogger, createMetrics, systemClock } from "../../../src/system/index.ts";
import { putGatewayKinds } from "../../support/gateway-kinds.ts";
import { embeddedProgram } from "../../support/embedded-program.ts";
import { selfSigned } from "../certificates.ts";
import { sendBytes } from "../clients.ts";
import { type Backend, eventually, startBackend } from "../cluster.ts";
import {
  haproxyCommands,
  haproxyLines,
  listLine,
  mapLine,
  nginxBatches,
  nginxDirectives,
  rowsOf,
  retryLine,
  serverLine,
  withoutMark,
} from "./readers.ts";
import { gatewaySamples, ingressSamples, type MakeSample, namespace, options, type Placed } from "./samples.ts";
import { allRounds, type Variant, variantsOf } from "./variants.ts";
import { hostile } from "./values.ts";
import { listenToSockets, type Wire } from "./wire.ts";

const wanted = process.env["INJECTION"] ?? "1";
/** Apart enough that a place has values of other kinds and forms. */
const count = wanted === "full" ? allRounds : Number(wanted);
const rounds = Array.from({ length: count }, (_, index) => Math.floor(((index + 0.62) * allRounds) / count));

const program = await embeddedProgram();
const root = mkdtempSync(join(tmpdir(), "fl-inj-"));
// Programs do not run as root, and must get to their files.
chmodSync(root, 0o755);
afterAll(() => rmSync(root, { recursive: true, force: true }));

const sets: readonly (readonly [string, readonly MakeSample[]])[] = [
  ["of Ingresses and what they name", ingressSamples],
  ["of the Gateway API and what it names", gatewaySamples],
];

for (const name of ["haproxy", "nginx", "embedded"] satisfies DataPlaneName[]) {
  const why = await missingFor(name);
  describe.skipIf(why !== undefined)(`on ${name}${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
    const clean: (() => unknown)[] = [];
    afterEach(async () => {
      for (const each of clean.splice(0).reverse()) await each();
    });

    test(
      "every option of ingress-nginx's ConfigMap, and of those of ports",
      { timeout: 60_000 + count * 30_000 },
      async () => {
        const world = await open(name, "ingress");
        clean.push(() => world.close());
        const objects = ingressSamples.slice(0, 1).flatMap((make) => objectsOf(make(1)));
        world.say(options, []);
        await world.put(objects);
        const plain = world.look();
        for (const round of rounds.slice(-Math.ceil(count / 4)))
          for (const each of inTurn(options, round)) {
            world.say(each, [streamServices(round)]);
            await world.put(objects);
            world.check(plain);
          }
      },
    );

    test.for(sets)("every string %s", { timeout: 60_000 + count * 30_000 }, async ([, samples]) => {
      const world = await open(name, samples === gatewaySamples ? "gateway" : "ingress");
      clean.push(() => world.close());
      await world.put(samples.flatMap((make, n) => objectsOf(make(n + 1))));
      const plain = world.look();
      // It has no configuration, and what it is told goes by messages whose form is not ours.
      for (const round of name === "embedded" ? rounds.slice(-Math.ceil(count / 8)) : rounds) {
        const variants = variantsOf(samples, round);
        await world.put(
          variants.flatMap(({ objects }) => objects),
          variants,
        );
        world.check(plain);
      }
    });
  });
}

/** The values of a record as well-formed ones, but for one in turn. */
function* inTurn(usual: Readonly<Record<string, string>>, round: number): Generator<Record<string, string>> {
  for (const [index, [key, text]] of Object.entries(usual).entries())
    yield { ...usual, [key]: hostile(text, index * 7 + round, index) };
}

/** A ConfigMap of ports with hostile ports, and hostile Services. */
function streamServices(round: number): StreamServices {
  const entries = Array.from({ length: 40 }, (_, n): [string, string] =>
    n % 2 === 0
      ? [hostile("19081", n * 7 + round, n), "shop/web:80"]
      : [String(19_100 + n), hostile("shop/web:80:PROXY", n * 7 + round, n)],
  );
  const metadata = { name: "ports", namespace };
  return {
    transport: "TCP",
    configMap: { apiVersion: "v1", kind: "ConfigMap", metadata, data: Object.fromEntries(entries) },
  };
}

const objectsOf = ({ of, others }: { of: Placed; others: readonly Placed[] }): Placed[] => [...others, of];

/** What of a configuration is the same for all objects: each line of it, or directive with its blocks. */
interface Look {
  readonly lines: ReadonlySet<string>;
  /** Text of files that never change. */
  readonly programs: ReadonlyMap<string, string>;
}

interface World {
  /** Takes these objects in the place of those before, and waits until a route that was put last is served. */
  /** What ingress-nginx's ConfigMaps say from the next `put` on. */
  say(options: Readonly<Record<string, string>>, streams: readonly StreamServices[]): void;
  put(objects: readonly Placed[], variants?: readonly Variant[]): Promise<void>;
  look(): Look;
  /** Throws where anything was written that plain objects do not make a data plane write. */
  check(plain: Look): void;
  close(): Promise<void>;
}

async function open(name: DataPlaneName, kind: "gateway" | "ingress"): Promise<World> {
  const directory = join(root, `${name[0]}${kind[0]}`);
  const stop = new AbortController();
  const { signal } = stop;
  const wire: Wire = listenToSockets();
  const lines: string[] = [];
  const log = createLogger({ level: "debug", to: { write: (line) => void lines.push(line) } });
  const client = createFakeClient();
  const metrics = createMetrics();
  const backend = await startBackend("web");
  const dataplane = startDataPlane(name, {
    address: "127.0.0.1",
    embeddedProgram: program,
    processes: 1,
    directory,
    metrics,
    signal,
    log,
  });
  const parts = {
    client,
    informers: createInformers(client, { signal, log }),
    dataplane,
    signal,
    log,
    metrics,
    clock: systemClock,
  };
  const events = createEventRecorder(client, { component: kind, log });
  fill(client, backend);
  let said: { readonly options: Readonly<Record<string, string>>; readonly streams: readonly StreamServices[] } = {
    options: {},
    streams: [],
  };
  const controller =
    kind === "gateway"
      ? startGateway({ ...parts, addresses: () => ["127.0.0.1"], events })
      : startIngress({
          ...parts,
          addresses: () => ["127.0.0.1"],
          ports: { http: 0, https: 0 },
          nginx: {
            controllers: ["k8s.io/ingress-nginx"],
            options: () => said.options,
            streams: () => said.streams,
            configMaps: parts.informers.of(resources.ConfigMap),
          },
          events,
        });
  await controller.ready;
  const port = (): number => {
    const wanted = kind === "gateway" ? `${namespace}/gw TCP 80` : "http";
    const found = controller.listeners().find((each) => each.name === wanted)?.port;
    if (found === undefined) throw new Error(`no listener ${wanted}`);
    return found;
  };
  let present: readonly Placed[] = [];
  let markers = 0;

  return {
    say: (next, streams) => void (said = { options: next, streams }),
    async put(objects, variants = []) {
      for (const each of present) remove(client, each);
      present = objects;
      for (const { resource, object } of objects) client.put(resource, object as never);
      // Whoever serves this has taken everything before it.
      const host = `marker-${++markers}.test`;
      marker(client, kind, host);
      const isServed = async (): Promise<boolean> =>
        has(controller.current()?.model, host) && (await status(port(), host)) === 200;
      await eventually(`${host} is served`, isServed).catch((error: Error) => {
        const complaints = lines.filter((line) => /"level":[456]0/.test(line)).slice(-5);
        throw new Error([error.message, controller.unserved() ?? "", ...complaints].join("\n").slice(0, 5_000));
      });
      expect(
        controller.unserved(),
        variants
          .map(({ where }) => where)
          .slice(0, 5)
          .join("\n"),
      ).toBeUndefined();
      expect(await status(port(), "neighbour.test")).toBe(200);
    },
    look() {
      const all = filesIn(directory);
      const programs = [...all].filter(([file]) => /\.(?:lua|http|js)$/.test(file));
      return { lines: new Set(configurations(all)), programs: new Map(programs) };
    },
    check(plain) {
      const all = filesIn(directory);
      for (const line of configurations(all))
        if (!plain.lines.has(line) && !retryLine.test(line))
          expect(line, "a line that plain objects do not make").toMatch(serverLine);
      for (const [file, text] of plain.programs) expect(all.get(file) === text, file).toBe(true);
      for (const [file, text] of all) {
        if (file.endsWith(".map")) for (const line of linesOf(text)) expect(line).toMatch(mapLine);
        if (file.endsWith(".crt-list")) for (const line of linesOf(text)) expect(line).toMatch(listLine);
      }
      const commands = wire.haproxy().flatMap(haproxyCommands);
      if (name === "haproxy") expect(commands.length).toBeGreaterThan(10);
      const batches = wire.nginx().flatMap(nginxBatches);
      if (name === "nginx") expect(batches.flatMap(rowsOf).length).toBeGreaterThan(10);
      for (const line of lines) {
        expect(line.indexOf("\n"), line.slice(0, 500)).toBe(line.length - 1);
        expect(JSON.parse(line)).toBeTypeOf("object");
      }
      told(client);
    },
    async close() {
      wire.stop();
      stop.abort();
      await Promise.all([dataplane.stopped, controller.stopped.catch(() => {})]);
      await backend.close();
    },
  };

  /** Lines of all configurations, as their programs read them. */
  function configurations(all: ReadonlyMap<string, string>): string[] {
    return [...all].flatMap(([file, text]) => {
      if (!/\.(?:conf|cfg)$/.test(file)) return [];
      withoutMark(file, text);
      // A master after the first has files of its own.
      const inPlace = text.replaceAll(directory, "DIR").replaceAll(/\bnginx\.\d+\.(conf|pid|sock)\b/g, "nginx.$1");
      return file.endsWith(".cfg") ? haproxyLines(inPlace) : nginxDirectives(inPlace);
    });
  }
}

const linesOf = (text: string): string[] => text.split("\n").filter((line) => line !== "");

/** What is there in every round. */
function fill(client: FakeClient, backend: Backend): void {
  const put = (resource: Resource, object: object): void => void client.put(resource, object as never);
  putGatewayKinds(client);
  for (const name of [namespace, "vault"])
    put(resources.Namespace, { metadata: { name, labels: { "kubernetes.io/metadata.name": name } } });
  for (const [name, controller] of [
    ["nginx", "k8s.io/ingress-nginx"],
    ["fairlead", "fairlead.dev/ingress"],
  ])
    put(resources.IngressClass, { metadata: { name }, spec: { controller } });
  put(resources.Service, {
    metadata: { name: "web", namespace },
    spec: { type: "ClusterIP", ports: [{ name: "http", protocol: "TCP", port: 80 }] },
  });
  put(resources.EndpointSlice, {
    metadata: { name: "web", namespace, labels: { "kubernetes.io/service-name": "web" } },
    addressType: "IPv4",
    ports: [{ name: "http", protocol: "TCP", port: backend.port }],
    endpoints: [{ addresses: ["127.0.0.1"], conditions: { ready: true } }],
  });
  const data = (texts: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString("base64")]));
  const pair = selfSigned(["a.test"]);
  put(resources.Secret, { metadata: { name: "users", namespace }, data: data({ auth: "ann:{PLAIN}secret" }) });
  put(resources.Secret, { metadata: { name: "ca", namespace }, data: data({ "ca.crt": pair["tls.crt"], ...pair }) });
  put(resources.ConfigMap, { metadata: { name: "headers", namespace }, data: { "x-a": "b" } });
  put(gatewayResources.GatewayClass, {
    metadata: { name: "fairlead" },
    spec: { controllerName: "fairlead.dev/gateway" },
  });
  put(gatewayResources.Gateway, {
    metadata: { name: "gw", namespace },
    spec: { gatewayClassName: "fairlead", listeners: [{ name: "http", port: 80, protocol: "HTTP" }] },
  });
  for (const kind of ["gateway", "ingress"] as const) marker(client, kind, "neighbour.test", "neighbour");
}

function marker(client: FakeClient, kind: "gateway" | "ingress", host: string, name = "marker"): void {
  if (kind === "gateway") {
    const old = name === "marker" && host !== "marker-1.test";
    if (old) client.remove(gatewayResources.HTTPRoute, { namespace, name });
    client.put(gatewayResources.HTTPRoute, {
      metadata: { name, namespace },
      spec: { parentRefs: [{ name: "gw" }], hostnames: [host], rules: [{ backendRefs: [{ name: "web", port: 80 }] }] },
    });
  } else
    client.put(resources.Ingress, {
      metadata: { name, namespace },
      spec: {
        ingressClassName: "fairlead",
        rules: [
          {
            host,
            http: {
              paths: [{ path: "/", pathType: "Prefix", backend: { service: { name: "web", port: { number: 80 } } } }],
            },
          },
        ],
      },
    });
}

function remove(client: FakeClient, { resource, object }: Placed): void {
  const { name = "", namespace: of } = (object["metadata"] ?? {}) as { name?: string; namespace?: string };
  try {
    client.remove(resource, { name, ...(of === undefined ? {} : { namespace: of }) });
  } catch {
    // Two of one name are one.
  }
}

async function status(port: number, host: string): Promise<number> {
  const answer = await sendBytes(port, `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`, 5_000).catch(
    () => "",
  );
  return Number(/^HTTP\/1\.1 (\d+) /.exec(answer)?.[1]);
}

function has(model: RoutingModel | undefined, host: string): boolean {
  const servers = (model?.listeners ?? []).flatMap((listener) => [...listener.servers.values()]);
  return servers.some((server) => server.kind === "http" && server.hosts.exact.has(host));
}

/** All that is beneath a folder, by path. Sockets and what is still being written are left out. */
function filesIn(folder: string): Map<string, string> {
  const found = new Map<string, string>();
  let names: string[] = [];
  try {
    names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  } catch {
    // The embedded data plane has none.
  }
  for (const name of names) {
    const file = join(folder, name);
    try {
      if (statSync(file).isFile()) found.set(name, readFileSync(file, "latin1"));
    } catch {
      // Gone meanwhile.
    }
  }
  return found;
}

/** What is said back of objects is what an API server takes. */
function told({ writes }: FakeClient): void {
  for (const { body, resource } of writes) {
    if (resource.kind === "Event") expect((body as { message: string }).message.length).toBeLessThanOrEqual(1_024);
    for (const { message, reason } of conditionsIn(body)) {
      expect(message.length, reason).toBeLessThanOrEqual(32_768);
      expect(reason).toMatch(/^[A-Za-z](?:[A-Za-z0-9_,:]*[A-Za-z0-9_])?$/);
    }
  }
}

function conditionsIn(value: unknown): { message: string; reason: string }[] {
  if (Array.isArray(value)) return value.flatMap(conditionsIn);
  if (typeof value !== "object" || value === null) return [];
  const each = value as Record<string, unknown>;
  const own =
    typeof each["message"] === "string" &&
    typeof each["reason"] === "string" &&
    typeof each["lastTransitionTime"] === "string"
      ? [{ message: each["message"], reason: each["reason"] }]
      : [];
  return [...own, ...Object.values(each).flatMap(conditionsIn)];
}
