// What a start and a change cost the controller at thousands of Ingresses: translation and data plane, without sockets of clients. The
// baseline is the same in one go, as if nothing were remembered. The clock counts from the write of an object until new requests follow it.
// Ingresses, Ingresses of ingress-nginx, and HTTPRoutes of one Gateway, each in a process of its own, on the data plane as it runs.
// Usage: npm run bench:routes -- [--ingresses 5000] [--paths 8] [--changes 50] [--dataplane embedded,haproxy,nginx] [--only Ingress,ingress-nginx,Gateway] [--json]
import { spawnSync } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createEventRecorder, createFakeClient, createInformers } from "../src/client/index.ts";
import { type DataPlaneName, startDataPlane, startGateway, startIngress } from "../src/dataplane/index.ts";
import { resources } from "../src/kube/index.ts";
import { gatewayResources } from "../src/routing/index.ts";
import { createMetrics, silentLogger, systemClock } from "../src/system/index.ts";
import { putGatewayClass } from "../test/support/gateway-kinds.ts";
import { createReport, quantile } from "./support/report.ts";

const { values } = parseArgs({
  options: {
    ingresses: { type: "string", default: "5000" },
    paths: { type: "string", default: "8" },
    changes: { type: "string", default: "50" },
    dataplane: { type: "string", default: "embedded" },
    only: { type: "string", default: "Ingress,ingress-nginx,Gateway" },
    json: { type: "boolean", default: false },
  },
});
const [count, paths, changes] = [Number(values.ingresses), Number(values.paths), Number(values.changes)];
const report = createReport(values.json);

type Kind = "Ingress" | "ingress-nginx" | "Gateway";
const kinds = values.only.split(",") as Kind[];
const planes = values.dataplane.split(",") as DataPlaneName[];
const [onlyKind, onlyPlane] = [kinds[0], planes[0]];
if (kinds.length === 1 && planes.length === 1 && onlyKind && onlyPlane) {
  await measure(onlyKind, onlyPlane);
  process.exit(0);
}
// Memory is that of a process that has done nothing else.
for (const plane of planes)
  for (const kind of kinds) {
    const numbers = ["ingresses", "paths", "changes"] as const;
    const own = ["--only", kind, "--dataplane", plane, ...numbers.flatMap((name) => [`--${name}`, values[name]])];
    const file = fileURLToPath(import.meta.url);
    const { status } = spawnSync(
      process.execPath,
      [...process.execArgv, file, ...own, ...(values.json ? ["--json"] : [])],
      { stdio: "inherit" },
    );
    if (status !== 0) process.exitCode = 1;
  }

async function measure(kind: Kind, planeName: DataPlaneName): Promise<void> {
  const what = kind === "Gateway" ? "HTTPRoute" : "Ingress";
  const here = `${planeName}, ${kind}`;
  const client = createFakeClient();
  if (kind === "Gateway") gateway();
  else {
    const controller = kind === "Ingress" ? "fairlead.dev/ingress" : "fairlead.dev/ingress-nginx";
    client.put(resources.IngressClass, { metadata: { name: "bench" }, spec: { controller } });
  }
  for (let i = 0; i < count; i++) {
    service(`app-${i}`);
    routeOf(`app-${i}`);
  }

  const stop = new AbortController();
  const { signal } = stop;
  const log = silentLogger;
  const begin = performance.now();
  const started = process.cpuUsage();
  const plane = startDataPlane(planeName, {
    address: "127.0.0.1",
    metrics: createMetrics(),
    signal,
    log,
  });
  /** Called with each model and each set of pools that new requests follow. */
  let onApplied = (): void => {};
  const common = {
    client,
    informers: createInformers(client, { signal, log }),
    dataplane: {
      ...plane,
      async apply(configuration: Parameters<typeof plane.apply>[0]) {
        const realised = await plane.apply(configuration);
        onApplied();
        return realised;
      },
      async updatePools(pools: Parameters<typeof plane.updatePools>[0]) {
        await plane.updatePools(pools);
        onApplied();
      },
    },
    addresses: () => ["127.0.0.1"],
    signal,
    clock: systemClock,
    log,
    events: createEventRecorder(client, { component: "bench", log }),
  };
  const running =
    kind === "Gateway"
      ? startGateway(common)
      : startIngress({
          ...common,
          ports: { http: 0, https: 0 },
          nginx: { controllers: ["fairlead.dev/ingress-nginx"], options: () => ({}) },
        });
  await running.ready;
  const whole = performance.now() - begin;
  report({
    name: `${here}: ${count} objects, ${count * paths} routes, all served`,
    value: whole / 1000,
    unit: "s",
    goal: { most: 10 },
    cpu: cpuSince(started),
  });
  await told(count);
  report({
    name: `${here}: the same, all told in statuses`,
    value: (performance.now() - begin) / 1000,
    unit: "s",
    goal: { most: 10 },
    cpu: cpuSince(started),
  });
  report({
    name: `${here}: memory of the controller with all objects`,
    value: memory() / 2 ** 20,
    unit: "MiB",
    goal: { most: 400 },
  });
  await quiet(count);

  /** One change, until new requests follow it. */
  async function timed(change: () => void): Promise<number> {
    const applied = new Promise<void>((resolve) => (onApplied = resolve));
    const start = performance.now();
    change();
    await applied;
    onApplied = () => {};
    return performance.now() - start;
  }
  const endpoint: number[] = [];
  const route: number[] = [];
  let cpu = process.cpuUsage();
  for (let i = 0; i < changes; i++) {
    endpoint.push(await timed(() => endpoints(`app-${i}`, `10.0.1.${i % 250}`)));
    await pause(5);
  }
  figures("one endpoint changed", endpoint, 50, cpuSince(cpu) / changes);
  cpu = process.cpuUsage();
  for (let i = 0; i < changes; i++) {
    // The Service first: it is of no use to anybody yet.
    service(`new-${i}`);
    route.push(await timed(() => routeOf(`new-${i}`)));
    await quiet(count + i + 1);
  }
  figures(`one ${what} added`, route, 100, cpuSince(cpu) / changes);
  stop.abort();
  await Promise.allSettled([running.stopped]);

  function figures(change: string, times: readonly number[], goal: number, spent: number): void {
    const name = `${here}: ${change} among ${count}`;
    // What it would be if each change were as dear as the first translation.
    report({
      name: `${name}, p50`,
      value: quantile(times, 0.5),
      unit: "ms",
      baseline: whole,
      against: "all anew",
      cpu: spent,
    });
    report({ name: `${name}, p99`, value: quantile(times, 0.99), unit: "ms", goal: { most: goal } });
  }

  /** Until each object has its status. */
  async function told(objects: number): Promise<void> {
    while (client.writes.length < objects) await pause(5);
  }

  /** Until the rest after a translation is over, too. */
  async function quiet(objects: number): Promise<void> {
    await told(objects);
    await pause(200);
  }

  function gateway(): void {
    putGatewayClass(client, "bench");
    client.put(gatewayResources.Gateway, {
      metadata: { name: "bench", namespace: "bench", generation: 1 },
      spec: { gatewayClassName: "bench", listeners: [{ name: "http", port: 80, protocol: "HTTP" }] },
    });
  }
  function routeOf(name: string): void {
    if (kind === "Gateway") httpRouteOf(name);
    else ingressOf(name);
  }
  function httpRouteOf(name: string): void {
    client.put(gatewayResources.HTTPRoute, {
      metadata: { name, namespace: "bench", generation: 1 },
      spec: {
        parentRefs: [{ name: "bench" }],
        hostnames: [`${name}.test`],
        rules: Array.from({ length: paths }, (_, i) => ({
          matches: [{ path: { type: "PathPrefix", value: `/p${i}` } }],
          backendRefs: [{ name, port: 80 }],
        })),
      },
    });
  }
  function service(name: string): void {
    client.put(resources.Service, { metadata: { name, namespace: "bench" }, spec: { ports: [{ port: 80 }] } });
    endpoints(name, "10.0.0.1");
  }
  function endpoints(name: string, address: string): void {
    client.put(resources.EndpointSlice, {
      metadata: { name, namespace: "bench", labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: [{ name: "", port: 80, protocol: "TCP" }],
      endpoints: [{ addresses: [address], conditions: { ready: true } }],
    });
  }
  function ingressOf(name: string): void {
    const backend = { service: { name, port: { number: 80 } } };
    client.put(resources.Ingress, {
      metadata: { name, namespace: "bench" },
      spec: {
        ingressClassName: "bench",
        rules: [
          {
            host: `${name}.test`,
            http: { paths: Array.from({ length: paths }, (_, i) => ({ path: `/p${i}`, pathType: "Prefix", backend })) },
          },
        ],
      },
    });
  }
}

/** Microseconds of CPU, of all threads. */
function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

function memory(): number {
  global.gc?.();
  return process.memoryUsage().rss;
}
