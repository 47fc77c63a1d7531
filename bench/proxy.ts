// Services in the kernel: loading all of them, and one endpoint change from the write of the object to the row in the
// kernel, each beside the bare cost of the same rows by `nft -f -`, in a network namespace of its own.
// Usage: npm run bench:proxy -- [--services 10000] [--endpoints 5] [--changes 300] [--json]
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import koffi from "koffi";
import { createApiServer } from "../src/apiserver/index.ts";
import { createLocalClient, type Client } from "../src/client/index.ts";
import { resources, type Draft, type EndpointSlice, type Service } from "../src/kube/index.ts";
import { removeProxy, startProxy, type Proxy } from "../src/proxy/index.ts";
import { createPortNumbers, rowsOfContext, rowsOfPlan } from "../src/proxy/nftables/rows.ts";
import { drawsOf, scriptOf } from "../src/proxy/nftables/script.ts";
import { createServiceModel, type ProxyContext } from "../src/services/index.ts";
import { openLmdbStore } from "../src/store/index.ts";
import { createLogger, runOrThrow, systemClock, systemCommands } from "../src/system/index.ts";
import type { Row } from "../src/tables/index.ts";

const { values: flags } = parseArgs({
  options: {
    services: { type: "string", default: "10000" },
    endpoints: { type: "string", default: "5" },
    changes: { type: "string", default: "300" },
    json: { type: "boolean", default: false },
  },
});
const services = Number(flags.services);
const endpoints = Number(flags.endpoints);
const changes = Number(flags.changes);

function report(name: string, value: number, unit: string, baseline?: number): void {
  const round = (number: number) => Number(number.toPrecision(4));
  const compared =
    baseline === undefined
      ? { baseline: null, ratio: null }
      : { baseline: round(baseline), ratio: round(value / baseline) };
  if (flags.json) return console.log(JSON.stringify({ name: name.trim(), value: round(value), unit, ...compared }));
  const beside = baseline === undefined ? "" : `  (bare nft ${round(baseline)}, ratio ${round(value / baseline)})`;
  console.log(`${name.padEnd(44)} ${round(value)} ${unit}${beside}`);
}

function quantile(figures: readonly number[], q: number): number {
  const sorted = [...figures].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

async function milliseconds(action: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await action();
  return performance.now() - begin;
}

/** Gives this thread, and all it starts, an empty network: nothing of the machine's own rules is touched. */
function leaveNetwork(): void {
  const unshare = koffi.load("libc.so.6").func("int unshare(int flags)");
  if (unshare(0x4000_0000) !== 0) {
    console.error("bench: needs root, for a network namespace of its own");
    process.exit(1);
  }
}

const node = "node1";
const clusterIp = (i: number) => `10.96.${(i >> 8) + 1}.${i & 255}`;
/** Pods live on ten nodes, one of them this one. */
const podIp = (i: number) => `10.42.${(i >> 8) & 255}.${i & 255}`;

const serviceOf = (i: number): Draft<Service> => ({
  metadata: { namespace: "default", name: `svc-${i}` },
  spec: { type: "ClusterIP", clusterIP: clusterIp(i), ports: [{ port: 80, protocol: "TCP", targetPort: 8080 }] },
});

const sliceOf = (i: number): Draft<EndpointSlice> => ({
  metadata: { namespace: "default", name: `svc-${i}-a`, labels: { "kubernetes.io/service-name": `svc-${i}` } },
  addressType: "IPv4",
  ports: [{ name: "", port: 8080, protocol: "TCP" }],
  endpoints: Array.from({ length: endpoints }, (_, k) => ({
    addresses: [podIp(i * endpoints + k)],
    nodeName: `node${((i + k) % 10) + 1}`,
    conditions: { ready: true, serving: true, terminating: false },
  })),
});

async function inParallel(count: number, action: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await action(next++);
  };
  await Promise.all(Array.from({ length: 64 }, worker));
}

const context: ProxyContext = {
  families: ["IPv4"],
  node: { name: node, addresses: ["127.0.0.1"] },
  podCidrs: ["10.42.0.0/16"],
  serviceCidrs: ["10.96.0.0/16"],
};

/** The same rows as plain scripts: everything, and one endpoint replaced. */
function bareScripts(): { full: string; change: string; undo: string; rows: number } {
  const model = createServiceModel(context);
  const numbers = createPortNumbers(100_000);
  const rows: Row[] = rowsOfContext(context);
  for (let i = 0; i < services; i++) {
    const stamp = (draft: object) => draft as never;
    model.upsertService(stamp(serviceOf(i)));
    model.upsertSlice(stamp(sliceOf(i)));
    const plan = model.plan(`default/svc-${i}`);
    if (plan) rows.push(...rowsOfPlan(plan, [], numbers, context));
  }
  const unique = [...new Map(rows.map((row) => [`${row.table} ${row.key.join()}`, row])).values()];
  const full = scriptOf({ reset: true, remove: [], add: unique }, [...drawsOf(unique).values()], ["IPv4"]).script;
  const slot = unique.find((row) => row.table === "slots");
  if (!slot) throw new Error("no slot row");
  const other: Row = { ...slot, value: ["10.42.255.250", 8080] };
  const swap = (from: Row, to: Row) => scriptOf({ reset: false, remove: [from], add: [to] }, [], ["IPv4"]).script;
  return { full, change: swap(slot, other), undo: swap(other, slot), rows: unique.length };
}

const nft = (script: string) => runOrThrow(systemCommands, "nft", ["-f", "-"], { input: script, timeout: 600_000 });

async function measureBare(): Promise<{ load: number; change: number[] }> {
  const bare = bareScripts();
  report("rows", bare.rows, "rows");
  const loads: number[] = [];
  for (let i = 0; i < 3; i++) {
    loads.push(await milliseconds(() => nft(bare.full)));
  }
  const change: number[] = [];
  for (let i = 0; i < 50; i++) change.push(await milliseconds(() => nft(i % 2 === 0 ? bare.change : bare.undo)));
  await removeProxy(systemCommands);
  return { load: quantile(loads, 0.5), change };
}

async function startApi(directory: string, signal: AbortSignal): Promise<Client> {
  const log = createLogger({ level: "error" });
  const store = await openLmdbStore({ path: join(directory, "store") });
  const api = createApiServer({
    store,
    clock: systemClock,
    log,
    signal,
    serviceCidr: "10.96.0.0/16",
    advertise: { address: "10.42.0.1", port: 6443 },
    kubelet: { open: () => Promise.reject(new Error("no nodes here")) },
  });
  await api.ready;
  return createLocalClient(api.handler, { name: "bench", groups: ["system:masters"] });
}

function begin(client: Client, signal: AbortSignal): Promise<Proxy> {
  return startProxy({
    client,
    nodeName: node,
    mode: "nftables",
    nodeAddresses: context.node.addresses,
    podCidrs: context.podCidrs,
    serviceCidrs: context.serviceCidrs,
    signal,
    clock: systemClock,
    log: createLogger({ level: "error" }),
    commands: systemCommands,
  });
}

/** Writes `changes` objects one after the other and waits for each to be in the kernel. */
async function measureChanges(client: Client, proxy: Proxy): Promise<{ total: number[]; written: number[] }> {
  const total: number[] = [];
  const written: number[] = [];
  for (let n = 0; n < changes + 20; n++) {
    const i = (n * 7919) % services;
    const slice = structuredClone(
      await client.get(resources.EndpointSlice, { namespace: "default", name: `svc-${i}-a` }),
    );
    const [first] = slice.endpoints ?? [];
    if (first) first.addresses = [`10.42.${200 + (n >> 8)}.${n & 255}`];
    const before = proxy.latency.count;
    const begun = performance.now();
    await client.update(resources.EndpointSlice, slice);
    const answered = performance.now() - begun;
    while (proxy.latency.count === before) await new Promise((resolve) => setImmediate(resolve));
    if (n < 20) continue;
    total.push(performance.now() - begun);
    written.push(answered);
  }
  return { total, written };
}

leaveNetwork();
const directory = mkdtempSync(join(tmpdir(), "fairlead-bench-"));
const stop = new AbortController();
try {
  const bare = await measureBare();
  const client = await startApi(directory, stop.signal);
  const create = await milliseconds(() =>
    inParallel(services, async (i) => {
      await client.create(resources.Service, serviceOf(i));
      await client.create(resources.EndpointSlice, sliceOf(i));
    }),
  );
  report("objects created through the API", (services * 2000) / create, "objects/s");

  let proxy: Proxy | undefined;
  const load = await milliseconds(async () => {
    proxy = await begin(client, stop.signal);
    await proxy.ready;
  });
  if (!proxy) throw new Error("no proxy");
  report("full load, from the API to the kernel", load, "ms", bare.load);

  const { total, written } = await measureChanges(client, proxy);
  for (const [name, q] of [
    ["p50", 0.5],
    ["p99", 0.99],
  ] as const) {
    report(`one endpoint, written to row, ${name}`, quantile(total, q), "ms", quantile(bare.change, q));
    report(`  of which the API's answer, ${name}`, quantile(written, q), "ms");
  }
  report("memory of the process", process.memoryUsage().rss / 2 ** 20, "MiB");
  const problem = proxy.failure();
  if (problem) throw new Error(problem);
} finally {
  stop.abort();
  await removeProxy(systemCommands);
  rmSync(directory, { recursive: true, force: true });
}
process.exit();
