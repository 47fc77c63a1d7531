// What a change costs the controller at thousands of Ingresses: translation and data plane, without sockets of clients. The baseline is
// the same in one go, as if nothing were remembered. The clock counts from the write of an object until new requests follow it.
// Usage: npm run bench:routes -- [--ingresses 5000] [--paths 8] [--changes 50] [--json]
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createEventRecorder, createFakeClient, createInformers } from "../src/client/index.ts";
import { startEmbedded, startIngress } from "../src/dataplane/index.ts";
import { resources } from "../src/kube/index.ts";
import { createMetrics, silentLogger, systemClock } from "../src/system/index.ts";
import { createReport, quantile } from "./support/report.ts";

const { values } = parseArgs({
  options: {
    ingresses: { type: "string", default: "5000" },
    paths: { type: "string", default: "8" },
    changes: { type: "string", default: "50" },
    json: { type: "boolean", default: false },
  },
});
const [count, paths, changes] = [Number(values.ingresses), Number(values.paths), Number(values.changes)];
const report = createReport(values.json);

for (const controller of ["fairlead.dev/ingress", "fairlead.dev/ingress-nginx"]) await measure(controller);
process.exit(0);

async function measure(controller: string): Promise<void> {
  const kind = controller.endsWith("nginx") ? "ingress-nginx" : "Ingress";
  const before = memory();
  const client = createFakeClient();
  client.put(resources.IngressClass, { metadata: { name: "bench" }, spec: { controller } });
  for (let i = 0; i < count; i++) add(`app-${i}`);

  const stop = new AbortController();
  const { signal } = stop;
  const log = silentLogger;
  const begin = performance.now();
  const started = process.cpuUsage();
  const dataplane = startEmbedded({ address: "127.0.0.1", metrics: createMetrics(), signal, log });
  /** Called with each model and each set of pools that new requests follow. */
  let onApplied = (): void => {};
  const ingress = startIngress({
    client,
    informers: createInformers(client, { signal, log }),
    dataplane: {
      ...dataplane,
      async apply(configuration) {
        const realised = await dataplane.apply(configuration);
        onApplied();
        return realised;
      },
      async updatePools(pools) {
        await dataplane.updatePools(pools);
        onApplied();
      },
    },
    addresses: () => ["127.0.0.1"],
    ports: { http: 0, https: 0 },
    nginx: { controllers: ["fairlead.dev/ingress-nginx"], options: () => ({}) },
    signal,
    clock: systemClock,
    log,
    events: createEventRecorder(client, { component: "ingress", log }),
  });
  await ingress.ready;
  const whole = performance.now() - begin;
  report({
    name: `${kind}: ${count} Ingresses, ${count * paths} routes, all served`,
    value: whole / 1000,
    unit: "s",
    goal: { most: 10 },
    cpu: cpuSince(started),
  });
  report({
    name: `${kind}: memory with objects and statuses`,
    value: (memory() - before) / 2 ** 20,
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
    route.push(await timed(() => ingressOf(`new-${i}`)));
    await quiet(count + i + 1);
  }
  figures("one Ingress added", route, 100, cpuSince(cpu) / changes);
  stop.abort();
  await Promise.allSettled([ingress.stopped]);

  function figures(what: string, times: readonly number[], goal: number, spent: number): void {
    const name = `${kind}: ${what} among ${count}`;
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

  /** Until each Ingress has its status, and the rest after a translation is over. */
  async function quiet(ingresses: number): Promise<void> {
    while (client.writes.length < ingresses) await pause(20);
    await pause(200);
  }

  function add(name: string): void {
    service(name);
    ingressOf(name);
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
