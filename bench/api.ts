// How fast the API is: `npm run bench:api [-- --json] [--only PARTS] [--kubeconfig FILE] [--objects N] [--watchers N] [--store etcd]`.
// All of it takes some seven minutes; `--only creates,watches` runs these parts alone, `--help` names them.
// Without --kubeconfig clusters of its own are brought up, with their controllers: one for its memory alone, one for all else.
// Beside each figure: what it shall be, its baseline, and the CPU time that the cluster's processes used for one operation. On a machine
// that does other things as well the clock says little; the first and the last line say how busy it was.
// The load is HTTP/2 over TLS with JSON, as of one client program, on the same machine. ConfigMaps hold 1 KiB.
// With --store etcd the cluster keeps its state in an etcd of its own (which must be installed); creates are then held against bare
// puts of as many bytes by as many workers into the same etcd.
// Creates are measured twice: of a server that has just begun, and after some thousands.
// Baselines, measured in the same run: the embedded store alone (the same bytes, as many writers), and a bare Node.js HTTP/2 server
// that answers bytes of the same size and decides nothing.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { openPki } from "../src/apiserver/index.ts";
import { type ClientConfig, loadKubeconfig } from "../src/client/index.ts";
import { createEtcdClient } from "../src/store/etcd/client.ts";
import { openLmdbStore } from "../src/store/index.ts";
import { freePort, systemClock, systemCommands } from "../src/system/index.ts";
import { type Etcd, startEtcd } from "./support/etcd.ts";
import { type Connection, openConnection } from "./support/h2.ts";
import { usageOf } from "./support/processes.ts";
import { createReport, median, quantile } from "./support/report.ts";

const partNames = ["memory", "start", "gets", "creates", "lists", "watches", "services"] as const;
type Part = (typeof partNames)[number];

const { values: flags } = parseArgs({
  options: {
    help: { type: "boolean", default: false },
    only: { type: "string", default: partNames.join() },
    json: { type: "boolean", default: false },
    kubeconfig: { type: "string" },
    objects: { type: "string", default: "30000" },
    watchers: { type: "string", default: "1000" },
    store: { type: "string", default: "lmdb" },
  },
});
if (flags.help) {
  console.log(`npm run bench:api -- [options]

  --only PARTS       of ${partNames.join(", ")}; with commas between (default: all)
  --json             an object a line
  --kubeconfig FILE  a cluster that is there, instead of some of its own: neither memory nor start
  --objects N        ConfigMaps for the figure of memory (default: 30000)
  --watchers N       watchers of the second figure of watches (default: 1000)
  --store etcd       state in an etcd of its own`);
  process.exit();
}
const parts = partsOf(flags.only);
const report = createReport(flags.json);
const dir = await mkdtemp(join(tmpdir(), "fairlead-bench-api-"));
const text = "x".repeat(1024);
const namespace = `bench-${process.pid}`;
const maps = `/api/v1/namespaces/${namespace}/configmaps`;

function partsOf(text: string): ReadonlySet<Part> {
  const named = text.split(",").map((name) => name.trim());
  const unknown = named.filter((name) => !partNames.some((part) => part === name));
  if (unknown.length > 0) {
    console.error(`bench: --only ${unknown.join()}: there is no such part; there are: ${partNames.join(", ")}`);
    process.exit(2);
  }
  return new Set(partNames.filter((part) => named.includes(part)));
}

/** A program that was started, until it is ended. */
interface Program {
  readonly lines: AsyncIterator<string>;
  end(): Promise<void>;
}

function startProgram(file: string, args: readonly string[]): Program {
  const child = spawn(process.execPath, [file, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<void>((resolve) => child.on("exit", () => resolve()));
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    lines,
    async end() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** Runs `work` so many times by so many workers; how many a second, and how long each took in milliseconds. */
async function measure(
  workers: number,
  count: number,
  work: (n: number) => Promise<void>,
): Promise<{ rate: number; times: number[] }> {
  const times: number[] = [];
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const n = next++;
      const began = performance.now();
      await work(n);
      times.push(performance.now() - began);
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: workers }, worker));
  return { rate: (count * 1000) / (performance.now() - began), times };
}

async function expectStatus(connection: Connection, expected: number, ...question: Parameters<Connection["ask"]>) {
  const answer = await connection.ask(...question);
  if (answer.status !== expected) throw new Error(`${question[0]} ${question[1]}: ${answer.status} ${answer.text()}`);
  return answer;
}

/** The directory of the cluster that is measured; none when it is somebody else's. */
let measured: string | undefined;

/** `measure`, and the CPU time of the cluster for one operation. */
async function measureCpu(
  workers: number,
  count: number,
  work: (n: number) => Promise<void>,
): Promise<{ rate: number; times: number[]; cpu: number | undefined }> {
  const before = measured === undefined ? undefined : await usageOf(measured);
  const result = await measure(workers, count, work);
  const after = measured === undefined ? undefined : await usageOf(measured);
  return { ...result, cpu: before && after && (after.cpu - before.cpu) / count };
}

/** Creates by which a server is warm. */
const warmUp = 6000;

const configMap = (name: string) => ({ metadata: { name }, data: { text } });
const create = (connection: Connection, name: string) =>
  expectStatus(connection, 201, "POST", maps, configMap(name)).then(() => {});

/** What the store alone takes, by as many writers. */
async function storeRate(workers: number, count: number): Promise<number> {
  if (etcd) return etcdRate(etcd, workers, count);
  const path = await mkdtemp(join(dir, "store-"));
  const store = await openLmdbStore({ path });
  const value = Buffer.alloc(1500, "x");
  const { rate } = await measure(workers, count, async (n) => {
    await store.write([], [{ type: "put", key: `/registry/configmaps/default/bare-${n}`, value }]);
  });
  await store.close();
  return rate;
}

let putInto = 0;

/** Bare puts into the cluster's etcd, beside what the cluster keeps there. */
async function etcdRate({ url }: Etcd, workers: number, count: number): Promise<number> {
  const client = createEtcdClient({ endpoints: [url] });
  const value = Buffer.alloc(1500, "x");
  const { rate } = await measure(workers, count, async () => {
    await client.call("Put", { key: Buffer.from(`/bare/default/bare-${putInto++}`), value }, "write");
  });
  client.close();
  return rate;
}

async function measureCreates(connection: Connection): Promise<void> {
  // A server that was just started compiles while it answers: what that costs is a figure of its own.
  const cold = await measureCpu(1, 500, (n) => create(connection, `first-${n}`));
  report({ name: "create, 1 worker, the first 500 of a server", value: cold.rate, unit: "1/s", cpu: cold.cpu });
  report({ name: "create, 1 worker, the first 500 of a server, p50", value: median(cold.times), unit: "ms" });
  await measure(16, warmUp, (n) => create(connection, `warm-${n}`));
  for (const [workers, count, least] of [
    [1, 500, 208],
    [16, 3000, 1504],
    [64, 8000, 3282],
  ] as const) {
    const baseline = await storeRate(workers, count);
    const { rate, times, cpu } = await measureCpu(workers, count, (n) => create(connection, `c${workers}-${n}`));
    const name = `create, ${workers} worker${workers > 1 ? "s" : ""}`;
    const goal = { least: etcd ? Math.round(0.9 * baseline) : least };
    report({ name, value: rate, unit: "1/s", baseline, against: etcd ? "bare puts" : "store alone", goal, cpu });
    report({ name: `${name}, p50`, value: median(times), unit: "ms" });
    report({ name: `${name}, p99`, value: quantile(times, 0.99), unit: "ms" });
  }
}

async function measureGets(connection: Connection, bare: Connection): Promise<void> {
  for (const [workers, count] of [
    [1, 2000],
    [64, 20_000],
  ] as const) {
    const plain = await measure(workers, count, async () => void (await expectStatus(bare, 200, "GET", "/one")));
    const { rate, times, cpu } = await measureCpu(
      workers,
      count,
      async () => void (await expectStatus(connection, 200, "GET", `${maps}/one`)),
    );
    const name = `get one, ${workers} worker${workers > 1 ? "s" : ""}`;
    const [least, most] = workers === 1 ? [undefined, { most: 0.5 }] : [{ least: 5000 }, undefined];
    const goalOf = (goal: { least: number } | { most: number } | undefined) => (goal ? { goal } : {});
    report({ name, value: rate, unit: "1/s", baseline: plain.rate, against: "bare Node.js", cpu, ...goalOf(least) });
    report({ name: `${name}, p50`, value: median(times), unit: "ms", baseline: median(plain.times), ...goalOf(most) });
    report({ name: `${name}, p99`, value: quantile(times, 0.99), unit: "ms", baseline: quantile(plain.times, 0.99) });
  }
}

async function measureLists(connection: Connection, bare: Connection, config: ClientConfig): Promise<void> {
  const listed = `${namespace}-list`;
  await expectStatus(connection, 201, "POST", "/api/v1/namespaces", { metadata: { name: listed } });
  const path = `/api/v1/namespaces/${listed}/configmaps`;
  await measure(64, 5000, (n) => expectStatus(connection, 201, "POST", path, configMap(`l-${n}`)).then(() => {}));
  const other = await openConnection(config);
  for (const name of ["/list", path]) {
    const asked = name === "/list" ? bare : connection;
    for (let i = 0; i < 5; i++) await expectStatus(asked, 200, "GET", name);
  }
  const plain = await measure(1, 30, async () => void (await expectStatus(bare, 200, "GET", "/list")));
  let bytes = 0;
  const lists = await measureCpu(1, 30, async () => {
    bytes = (await expectStatus(connection, 200, "GET", path)).bytes;
  });
  report({
    name: `list of 5,000 (${(bytes / 1e6).toFixed(1)} MB), p50`,
    value: median(lists.times),
    unit: "ms",
    baseline: median(plain.times),
    against: "bare Node.js",
    goal: { most: 30 },
    cpu: lists.cpu,
  });
  // Small requests on another connection while lists are sent. The client takes part in their time: the bare server shows how much.
  const beside = async (question: () => Promise<void>, small: () => Promise<void>) => {
    let listing = true;
    const lists = measure(1, 20, question).finally(() => {
      listing = false;
    });
    const times: number[] = [];
    while (listing) {
      const began = performance.now();
      await small();
      times.push(performance.now() - began);
    }
    await lists;
    return quantile(times, 0.99);
  };
  const bareWait = await beside(
    async () => void (await expectStatus(bare, 200, "GET", "/list")),
    async () => void (await expectStatus(bare, 200, "GET", "/one")),
  );
  const wait = await beside(
    async () => void (await expectStatus(connection, 200, "GET", path)),
    async () => void (await expectStatus(other, 200, "GET", `${maps}/one`)),
  );
  const goal = { most: 20 };
  report({ name: "get beside lists, p99", value: wait, unit: "ms", baseline: bareWait, against: "bare Node.js", goal });
  other.close();
  await connection.ask("DELETE", `/api/v1/namespaces/${listed}`);
  // What is measured next shall not share the server with the end of 5,000 objects.
  while ((await connection.ask("GET", `/api/v1/namespaces/${listed}`)).status !== 404)
    await new Promise((resolve) => setTimeout(resolve, 100));
}

/** Opens so many watches over a few connections; `seen` is told of each frame. */
async function openWatches(
  open: () => Promise<Connection>,
  path: string,
  count: number,
  seen: () => void,
): Promise<Connection[]> {
  const connections: Connection[] = [];
  const each = 200;
  for (let opened = 0; opened < count; opened += each) {
    const connection = await open();
    connections.push(connection);
    const streams = Math.min(each, count - opened);
    await Promise.all(
      Array.from({ length: streams }, () =>
        connection.follow(path, (chunk) => {
          for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) seen();
        }),
      ),
    );
  }
  return connections;
}

/** Milliseconds from a create until all watchers have it, for each of `rounds`; and deliveries a second when creates follow each other. */
async function deliveries(
  open: () => Promise<Connection>,
  path: string,
  write: (n: number) => Promise<void>,
  watchers: number,
  rounds: number,
): Promise<{ times: number[]; rate: number; cpu: number | undefined }> {
  let awaited = 0;
  let all = (): void => {};
  const connections = await openWatches(open, path, watchers, () => {
    if (--awaited === 0) all();
  });
  const arrived = (frames: number): Promise<void> => {
    awaited = frames;
    return new Promise((resolve) => {
      all = resolve;
    });
  };
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const last = arrived(watchers);
    const began = performance.now();
    await Promise.all([write(round), last]);
    times.push(performance.now() - began);
  }
  const burst = Math.max(20, Math.min(200, Math.floor(100_000 / watchers)));
  const last = arrived(watchers * burst);
  const before = measured === undefined ? undefined : await usageOf(measured);
  const began = performance.now();
  await Promise.all([last, measure(8, burst, (n) => write(rounds + n))]);
  const rate = (watchers * burst * 1000) / (performance.now() - began);
  const after = measured === undefined ? undefined : await usageOf(measured);
  for (const connection of connections) connection.close();
  return { times, rate, cpu: before && after && (after.cpu - before.cpu) / (watchers * burst) };
}

async function measureWatches(
  connection: Connection,
  bare: Connection,
  open: () => Promise<Connection>,
  openBare: () => Promise<Connection>,
): Promise<void> {
  const version = (await expectStatus(connection, 200, "GET", `${maps}?limit=1`)).text();
  const from = /"resourceVersion":"(\d+)"/.exec(version)?.[1] ?? "0";
  for (const [watchers, rounds] of [
    [1, 300],
    [Number(flags.watchers), 50],
  ] as const) {
    const plain = await deliveries(
      openBare,
      "/watch",
      async () => void (await expectStatus(bare, 200, "POST", "/create", configMap("bare"))),
      watchers,
      rounds,
    );
    const path = `${maps}?watch=true&resourceVersion=${from}&labelSelector=watched=${watchers}`;
    const { times, rate, cpu } = await deliveries(
      open,
      path,
      async (n) => {
        const body = { metadata: { name: `w${watchers}-${n}`, labels: { watched: String(watchers) } }, data: { text } };
        await expectStatus(connection, 201, "POST", maps, body);
      },
      watchers,
      rounds,
    );
    const name = `watch, ${watchers} watcher${watchers > 1 ? "s" : ""}`;
    const against = "bare Node.js";
    report({
      name: `${name}, last has it, p50`,
      value: median(times),
      unit: "ms",
      baseline: median(plain.times),
      against,
      goal: { most: watchers === 1 ? 2 : 25 },
    });
    report({
      name: `${name}, last has it, p99`,
      value: quantile(times, 0.99),
      unit: "ms",
      baseline: quantile(plain.times, 0.99),
    });
    const goal = watchers > 1 ? { goal: { least: 100_000 } } : {};
    report({ name: `${name}, deliveries`, value: rate, unit: "1/s", baseline: plain.rate, against, cpu, ...goal });
  }
}

async function measureServices(connection: Connection): Promise<void> {
  const services = `/api/v1/namespaces/${namespace}/services`;
  const make = (n: number) =>
    expectStatus(connection, 201, "POST", services, {
      metadata: { name: `s-${n}` },
      spec: { selector: { app: "none" }, ports: [{ port: 80 }] },
    }).then(() => {});
  const goal = { least: 1500 };
  const first = await measureCpu(16, 1000, make);
  report({ name: "Service create, 16 workers, first 1,000", value: first.rate, unit: "1/s", goal, cpu: first.cpu });
  await measure(16, 8000, (n) => make(1000 + n));
  const last = await measureCpu(16, 1000, (n) => make(9000 + n));
  report({
    name: "Service create, 16 workers, 9,000 to 10,000",
    value: last.rate,
    unit: "1/s",
    baseline: first.rate,
    against: "the first 1,000",
    goal,
    cpu: last.cpu,
  });
}

function reportLoad(when: string): void {
  report({ name: `load average of the machine, ${when}`, value: loadavg()[0] ?? 0, unit: "" });
}

/** A cluster of its own that holds nothing else: what it takes idle and with many objects. */
async function measureMemory(path: string): Promise<number> {
  const cluster = await upCluster(path);
  try {
    await new Promise((resolve) => setTimeout(resolve, 15_000));
    const goal = (most: number) => ({ goal: { most } });
    report({ name: "memory, all parts, idle", value: (await usageOf(path)).resident, unit: "MB", ...goal(200) });
    const connection = await openConnection(cluster.config);
    await expectStatus(connection, 201, "POST", "/api/v1/namespaces", { metadata: { name: namespace } });
    await measure(64, Number(flags.objects), (n) => create(connection, `many-${n}`));
    connection.close();
    await new Promise((resolve) => setTimeout(resolve, 5000));
    const { resident } = await usageOf(path);
    report({ name: `memory with ${flags.objects} ConfigMaps of 1 KiB`, value: resident, unit: "MB", ...goal(400) });
  } finally {
    await endCluster(path, cluster.program);
  }
  return cluster.milliseconds;
}

async function endCluster(path: string, program: Program): Promise<void> {
  await program.end();
  await systemCommands.run(process.execPath, ["fairlead", "down", "--dir", path, "--delete"]);
}

/** Brings a cluster up; milliseconds until `/readyz` answers, and its configuration. */
async function upCluster(path: string): Promise<{ config: ClientConfig; milliseconds: number; program: Program }> {
  const began = performance.now();
  const kept = etcd ? ["--store", "etcd", "--etcd-servers", etcd.url] : [];
  const port = String(await freePort());
  const program = startProgram("fairlead", ["up", "--dir", path, "--rootless", "--api-port", port, ...kept]);
  for (;;) {
    try {
      const config = await loadKubeconfig({ path: join(path, "kubeconfig") });
      const connection = await openConnection(config);
      const { status } = await connection.ask("GET", "/readyz");
      connection.close();
      if (status === 200) return { config, milliseconds: performance.now() - began, program };
    } catch (error) {
      if (performance.now() - began > 60_000) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The bare server, and how to connect to it. */
async function startBare(): Promise<{ open: () => Promise<Connection>; program: Program }> {
  const pki = await openPki(join(dir, "bare"), systemClock);
  await pki.server("bare", { name: "bare", hosts: ["127.0.0.1"] });
  const pair = ["bare.crt", "bare.key"].map((name) => join(dir, "bare", name));
  const program = startProgram(join(import.meta.dirname, "support/bare-api.js"), pair);
  const { value: port } = await program.lines.next();
  const config = { server: `https://127.0.0.1:${String(port)}`, ca: pki.ca, credentials: {} };
  return { open: () => openConnection(config), program };
}

if (!["lmdb", "etcd"].includes(flags.store)) throw new Error(`--store ${flags.store}: it is lmdb or etcd`);
const etcd = flags.store === "etcd" ? await startEtcd(join(dir, "etcd")) : undefined;
reportLoad("before");
const cluster = join(dir, "cluster");
const starts = flags.kubeconfig || etcd || !parts.has("memory") ? [] : [await measureMemory(join(dir, "memory"))];
const own = flags.kubeconfig ? undefined : await upCluster(cluster);
const { open: openBare, program: bareProgram } = await startBare();
try {
  const config = own?.config ?? (await loadKubeconfig({ path: flags.kubeconfig ?? "" }));
  const open = () => openConnection(config);
  if (own) {
    measured = cluster;
    const value = Math.min(...starts, own.milliseconds);
    const name = `start to /readyz${starts.length > 0 ? ", best of two" : ""}`;
    if (parts.has("start")) report({ name, value, unit: "ms", goal: { most: 500 } });
    // What follows a start has its time.
    await new Promise((resolve) => setTimeout(resolve, 5000));
  }
  const [connection, bare] = await Promise.all([open(), openBare()]);
  await expectStatus(connection, 201, "POST", "/api/v1/namespaces", { metadata: { name: namespace } });
  await create(connection, "one");
  if (parts.has("gets")) await measureGets(connection, bare);
  if (parts.has("creates")) await measureCreates(connection);
  if (parts.has("lists")) await measureLists(connection, bare, config);
  if (parts.has("watches")) await measureWatches(connection, bare, open, openBare);
  if (parts.has("services")) await measureServices(connection);
  await connection.ask("DELETE", `/api/v1/namespaces/${namespace}`);
  connection.close();
  bare.close();
} finally {
  await bareProgram.end();
  if (own) await endCluster(cluster, own.program);
  await etcd?.end();
  await rm(dir, { recursive: true, force: true });
}
reportLoad("after");
