// A data plane beside the same programs with minimal configurations by hand, Caddy, and the backend itself, in the same run: one core
// for each, load by wrk. Processor time of a request says most: other work on the machine changes it little.
// `--observed` puts the same data plane beside it that counts by route, and one that writes an access log besides.
// `--traced` puts it beside it with no, each hundredth and every request's span sent to a receiver.
// Usage: npm run bench:l7 -- [--dataplane haproxy|nginx|embedded] [--observed] [--traced] [--seconds 3] [--rounds 5] [--connections 64] [--json]
import { fork } from "node:child_process";
import { openSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  createPost,
  createSpanExporter,
  type DataPlane,
  startDataPlane,
  startHaproxy,
  startNginx,
  type Tracing,
} from "../src/dataplane/index.ts";
import { translateIngresses } from "../src/routing/index.ts";
import { createMetrics, silentLogger, systemClock } from "../src/system/index.ts";
import { type ByHand, startByHand, type Target } from "./support/l7/by-hand.ts";
import { measure, type Measured } from "./support/l7/measure.ts";
import { createReport, median } from "./support/report.ts";

const warmRounds = 3;

type Name = "haproxy" | "nginx" | "embedded";

const { values: flags } = parseArgs({
  options: {
    dataplane: { type: "string", default: "embedded" },
    seconds: { type: "string", default: "3" },
    rounds: { type: "string", default: "5" },
    connections: { type: "string", default: "64" },
    json: { type: "boolean", default: false },
    /** Of the process that has the data plane: the backend's port, and a folder. */
    serve: { type: "string" },
    directory: { type: "string", default: "" },
    observed: { type: "boolean", default: false },
    traced: { type: "boolean", default: false },
    /** Of the process that has the data plane: what it tells of requests (`figures`, `log`, `traces 0.01`), and the receiver of its spans. */
    watch: { type: "string", default: "" },
    receiver: { type: "string", default: "" },
  },
});

if (flags.serve === undefined) await main();
else await serve(nameOf(flags.dataplane), Number(flags.serve), flags.directory);

function nameOf(text: string): Name {
  if (text === "haproxy" || text === "nginx" || text === "embedded") return text;
  throw new Error(`--dataplane ${text}: use haproxy, nginx or embedded`);
}

/** Spans are made and sent as `up` and `ingress` send them. */
function tracingOf(sample: number): Tracing {
  const { add, lost } = createSpanExporter({
    post: createPost({ url: flags.receiver, headers: {}, timeout: 10_000, compress: false }),
    resource: [],
    version: "",
    metrics: createMetrics(),
    clock: systemClock,
    log: silentLogger,
  });
  return { sample, add, lost };
}

function start(name: Name, directory: string, signal: AbortSignal): DataPlane {
  const common = {
    address: "127.0.0.1",
    signal,
    log: silentLogger,
    ...(/^(?:figures|log)$/.test(flags.watch) ? { routeFigures: true, metrics: createMetrics() } : {}),
    ...(flags.watch.startsWith("traces ") ? { tracing: tracingOf(Number(flags.watch.slice(7))) } : {}),
    ...(flags.watch === "log" ? { accessLog: openSync(`${directory}.log`, "a") } : {}),
  };
  if (name === "haproxy") return startHaproxy({ ...common, threads: 1, directory });
  if (name === "nginx") return startNginx({ ...common, workers: 1, directory });
  // As `up` and `ingress` run it: an unprivileged process of its own.
  return startDataPlane("embedded", { metrics: createMetrics(), ...common, processes: 1 });
}

/** The data plane with one route to the backend, in a process of its own. */
async function serve(name: Name, backend: number, directory: string): Promise<void> {
  const stop = new AbortController();
  const plane = start(name, directory, stop.signal);
  process.once("disconnect", () => stop.abort());
  const { model } = translateIngresses({
    ingresses: [
      {
        apiVersion: "networking.k8s.io/v1",
        kind: "Ingress",
        metadata: { name: "web", namespace: "bench" },
        spec: {
          ingressClassName: "bench",
          rules: [
            {
              host: "bench.test",
              http: {
                paths: [{ path: "/", pathType: "Prefix", backend: { service: { name: "web", port: { number: 80 } } } }],
              },
            },
          ],
        },
      },
    ],
    classes: [
      {
        apiVersion: "networking.k8s.io/v1",
        kind: "IngressClass",
        metadata: { name: "bench" },
        spec: { controller: "bench" },
      },
    ],
    service: () => ({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "web", namespace: "bench" },
      spec: { ports: [{ name: "http", port: 80, protocol: "TCP" }] },
    }),
    slices: () => [
      {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { name: "web", namespace: "bench" },
        addressType: "IPv4",
        ports: [{ name: "http", port: backend, protocol: "TCP" }],
        endpoints: [{ addresses: ["127.0.0.1"], conditions: { ready: true } }],
      },
    ],
    secret: () => undefined,
    inspect: () => undefined,
    controllerName: "bench",
    ports: { http: 0, https: 0 },
  });
  await plane.apply({ model, keyPair: () => undefined });
  process.send?.(plane.listeners().find(({ protocol }) => protocol === "HTTP")?.port ?? 0);
  await plane.stopped;
}

async function startOwn(name: Name, backend: number, watch = "", receiver = ""): Promise<Target> {
  const directory = await mkdtemp(join(tmpdir(), "fairlead-bench-"));
  // The program does not run as root, and must get to its files.
  await chmod(directory, 0o755);
  const child = fork(
    process.argv[1] ?? "",
    [
      "--dataplane",
      name,
      "--serve",
      String(backend),
      "--directory",
      join(directory, "own"),
      "--watch",
      watch,
      "--receiver",
      receiver,
    ],
    { stdio: ["ignore", "inherit", "inherit", "ipc"] },
  );
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const port = await new Promise<number>((resolve, reject) => {
    child.once("message", (message) => resolve(Number(message)));
    child.once("exit", () => reject(new Error(`the data plane ${name} ended`)));
  });
  return {
    name: `Fairlead on ${name}${watch === "" ? "" : `, ${watch}`}`,
    port,
    pid: child.pid ?? 0,
    async stop() {
      child.disconnect();
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Takes spans, and forgets them. Its URL; it lasts as long as this process. */
async function startReceiver(): Promise<string> {
  const server = createServer((request, response) => {
    request.resume().on("end", () => response.end("{}"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`;
}

async function main(): Promise<void> {
  const name = nameOf(flags.dataplane);
  const report = createReport(flags.json);
  const targets: Target[] = [];
  try {
    const backend = await startByHand("backend");
    targets.push(backend);
    const beside: readonly ByHand[] = name === "embedded" ? ["nginx", "caddy"] : [name, `${name}-telling`];
    for (const each of beside) targets.push(await startByHand(each, backend.port));
    const own = await startOwn(name, backend.port);
    targets.push(own);
    const watched: Target[] = [];
    for (const watch of flags.observed ? ["figures", "log"] : [])
      watched.push(await startOwn(name, backend.port, watch));
    const receiver = flags.traced ? await startReceiver() : "";
    for (const share of flags.traced ? [0, 0.01, 1] : [])
      watched.push(await startOwn(name, backend.port, `traces ${share}`, receiver));
    targets.push(...watched);

    const figures = new Map<Target, Measured[]>(targets.map((target) => [target, []]));
    const once = (target: Target): Promise<Measured> =>
      measure(target, Number(flags.connections), Number(flags.seconds));
    // Until its code is compiled for what it does.
    for (const each of [own, ...watched]) for (let round = 0; round < warmRounds; round++) await once(each);
    // In turn, so that all see the same machine.
    for (let round = 0; round < Number(flags.rounds); round++)
      for (const [target, list] of figures) list.push(await once(target));
    const of = (wanted: string, pick: (each: Measured) => number): number =>
      median([...figures].find(([target]) => target.name === wanted)?.[1].map(pick) ?? []);

    for (const { name: each } of targets) {
      const shown = each === "backend" ? "the backend, direct" : each;
      report({
        name: `${shown}: requests`,
        value: of(each, ({ rate }) => rate),
        unit: "1/s",
        cpu: of(each, ({ cpu }) => cpu),
      });
      report({ name: `${shown}: latency p99`, value: of(each, ({ p99 }) => p99), unit: "ms" });
    }
    const cost = (wanted: string): number => of(wanted, ({ cpu }) => cpu);
    const speed = (wanted: string): number => of(wanted, ({ rate }) => rate);
    const compare = (what: string, against: string, least?: number): void => {
      const ratio = { unit: "", against, ...(least === undefined ? {} : { goal: { least } }) };
      report({ name: `${what}, requests per second`, value: speed(own.name) / speed(against), ...ratio });
      report({ name: `${what}, requests per core`, value: cost(against) / cost(own.name), ...ratio });
    };
    for (const each of watched)
      report({
        name: `${each.name}: requests per core, of the same without`,
        value: cost(own.name) / cost(each.name),
        unit: "",
      });
    if (name !== "embedded") {
      compare(`of ${name} by hand`, name, 0.97);
      // What remains is what Fairlead does beside.
      return compare(`of ${name} by hand that tells endpoints the same`, `${name}-telling`);
    }
    compare("of nginx by hand", "nginx", 0.35);
    compare("of Caddy", "caddy", 1.5);
    report({
      name: "latency p99 of Caddy's",
      value: of(own.name, ({ p99 }) => p99) / of("caddy", ({ p99 }) => p99),
      unit: "",
      goal: { most: 1 },
    });
  } finally {
    for (const target of targets.reverse()) await target.stop();
  }
}
