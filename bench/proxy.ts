// The Service proxy at scale, in a network namespace of its own: loading all Services, one endpoint change from the write of the object to
// the row in the kernel, memory, idle time, the first packet through the last Service; each beside the bare cost of the same rows.
// In user space also requests a second, beside direct ones and haproxy in TCP mode, in three rounds of as many --seconds each.
// The goals stand in brackets, the ratios among them counted from the baseline of the run, and with --json as `goal` and `met`.
// Usage: npm run bench:proxy -- [--services 10000] [--endpoints 5] [--mode nftables|iptables|userspace] [--changes 600] [--seconds 3] [--json]
//        [--iptables legacy|nft]   whose iptables; legacy where the machine has it: the other one is quadratic
import { fork, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import koffi from "koffi";
import { createHttpClient, loadKubeconfig, type Client } from "../src/client/index.ts";
import { resources } from "../src/kube/index.ts";
import { removeProxy, type ProxyMode } from "../src/proxy/index.ts";
import { runOrThrow, systemCommands } from "../src/system/index.ts";
import { startTestCluster } from "../src/testing/index.ts";
import { bareIptables, bareNftables, measureKernelsPart, type Bare, type Took } from "./support/proxy/bare.ts";
import type { Connects } from "./support/proxy/connect.ts";
import { clusterIp, podIp, podPort, serviceOf, sliceOf } from "./support/proxy/objects.ts";
import { cpuOf, measureThroughput, startBackends, type Throughput } from "./support/proxy/throughput.ts";
import type { Said } from "./support/proxy/worker.ts";
import { createReport, median, quantile } from "./support/report.ts";

const { values: flags } = parseArgs({
  options: {
    services: { type: "string" },
    endpoints: { type: "string", default: "5" },
    mode: { type: "string", default: "nftables" },
    changes: { type: "string", default: "600" },
    seconds: { type: "string", default: "3" },
    iptables: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const mode = flags.mode as ProxyMode;
if (!["nftables", "iptables", "userspace"].includes(mode)) {
  console.error("bench: --mode is nftables, iptables or userspace");
  process.exit(2);
}
const services = Number(flags.services ?? (mode === "userspace" ? 100 : 10_000));
const endpoints = Number(flags.endpoints);
const changes = Number(flags.changes);
const seconds = Number(flags.seconds);
const report = createReport(flags.json);
const folder = mkdtempSync(join(tmpdir(), "fairlead-bench-"));

/** Gives this thread, and all it starts, an empty network: nothing of the machine's own rules is touched. */
async function leaveNetwork(): Promise<void> {
  const unshare = koffi.load("libc.so.6").func("int unshare(int flags)");
  if (unshare(0x4000_0000) !== 0) {
    console.error("bench: needs root, for a network namespace of its own");
    process.exit(1);
  }
  const ip = (...args: string[]) => runOrThrow(systemCommands, "ip", args);
  await ip("link", "set", "lo", "up");
  // Every pod is here, whatever its address; and the machine has an address and a way out, as a node has.
  await ip("address", "add", "192.0.2.1/32", "dev", "lo");
  await ip("route", "add", "local", "10.42.0.0/16", "dev", "lo");
  await ip("route", "add", "10.96.0.0/16", "dev", "lo");
}

const programs = ["iptables", "iptables-restore", "iptables-save"];
/** Puts the wanted kind of iptables first on the path. */
function chooseIptables(): string {
  const legacy = "/usr/sbin/xtables-legacy-multi";
  const kind = flags.iptables ?? (existsSync(legacy) ? "legacy" : "nft");
  const target = kind === "legacy" ? legacy : "/usr/sbin/xtables-nft-multi";
  for (const name of programs) symlinkSync(target, join(folder, name));
  process.env["PATH"] = `${folder}:${process.env["PATH"] ?? ""}`;
  return kind;
}

async function inParallel(count: number, action: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await action(next++);
  };
  await Promise.all(Array.from({ length: 32 }, worker));
}

/** What is to be reached at most with that many Services; nothing where no goal is set for as many. */
function goalFor(most: Readonly<Record<number, number>>): { goal?: { most: number } } {
  const bound = Object.entries(most).find(([count]) => services <= Number(count))?.[1];
  return bound === undefined ? {} : { goal: { most: bound } };
}

/** The next message of this type that a child sends. */
function message<T extends Said["type"]>(child: ChildProcess, type: T): Promise<Extract<Said, { type: T }>> {
  return new Promise((resolve, reject) => {
    const listen = (said: Said): void => {
      if (said.type !== type) return;
      child.off("message", listen);
      child.off("exit", gone);
      resolve(said as Extract<Said, { type: T }>);
    };
    const gone = (): void => reject(new Error("the proxy has ended"));
    child.on("message", listen);
    child.once("exit", gone);
  });
}

const program = (name: string): string => join(import.meta.dirname, "support/proxy", `${name}.js`);
async function figuresOf(proxy: ChildProcess) {
  const answer = message(proxy, "figures");
  proxy.send({});
  return answer;
}

/** Milliseconds of changes: from the write until it was answered, and until it was in force; and what the same takes bare, in turn with them. */
interface Changes {
  readonly total: number[];
  readonly written: number[];
  readonly bare: number[];
}

/** Changes in a row, before as many bare ones. */
const block = 20;

/** Writes objects one after the other. */
async function measureChanges(client: Client, proxy: ChildProcess, bare: Bare | undefined): Promise<Changes> {
  const waiting = new Map<string, (at: bigint) => void>();
  proxy.on("message", (said: Said) => {
    if (said.type === "applied") waiting.get(said.address)?.(BigInt(said.at));
  });
  const took: Changes = { total: [], written: [], bare: [] };
  for (let n = 0; n < changes + 20; n++) {
    const i = (n * 7919) % services;
    const name = { namespace: "default", name: `svc-${i}-a` };
    const slice = structuredClone(await client.get(resources.EndpointSlice, name));
    const address = `10.42.${200 + (n >> 8)}.${n & 255}`;
    const [first] = slice.endpoints ?? [];
    if (first) first.addresses = [address];
    const applied = new Promise<bigint>((resolve) => waiting.set(address, resolve));
    const begun = process.hrtime.bigint();
    await client.update(resources.EndpointSlice, slice);
    const answered = process.hrtime.bigint();
    const at = await applied;
    waiting.delete(address);
    if (n >= 20) {
      took.total.push(Number(at - begun) / 1e6);
      took.written.push(Number(answered - begun) / 1e6);
    }
    // By the block: a program that is started right before a change makes the API server, which is in this process, slower for a while.
    if (!bare || (n + 1) % block !== 0) continue;
    for (let i = 0; i < block; i++) took.bare.push(await bare.change());
    await sleep(200);
  }
  return took;
}

const quantiles = [
  ["p50", 0.5],
  ["p99", 0.99],
] as const;

/** Connects to the first Service, the last one and straight to a pod, in turn. */
async function measureConnects(): Promise<void> {
  const last = services - 1;
  const targets = { first: `${clusterIp(0)}:80`, last: `${clusterIp(last)}:80`, direct: `${podIp(0)}:${podPort}` };
  const child = fork(program("connect"), ["2000", ...Object.values(targets)]);
  const figures = await new Promise<Connects>((resolve, reject) => {
    child.once("message", (found) => resolve(found as Connects));
    child.once("exit", () => reject(new Error("connecting failed")));
  });
  for (const [name, q] of quantiles) {
    const at = (target: string) => quantile(figures[target] ?? [], q);
    const against = "the first Service";
    report({
      name: `connect through the last Service, ${name}`,
      value: at(targets.last),
      unit: "ms",
      baseline: at(targets.first),
      against,
      goal: { most: 1.1 * at(targets.first) },
    });
    report({
      name: `connect through the first Service, ${name}`,
      value: at(targets.first),
      unit: "ms",
      baseline: at(targets.direct),
      against: "direct",
    });
  }
}

/** In rounds, the three ways in turn: what else the machine does meets all of them, and the round whose ratio is the median is told. */
async function measureRequests(proxy: ChildProcess): Promise<void> {
  const backends = await startBackends(endpoints);
  const pid = proxy.pid ?? 0;
  const rounds: { direct: Throughput; own: Throughput; haproxy: Throughput }[] = [];
  const cpu = { own: 0, haproxy: 0 };
  try {
    for (let round = 0; round < 3; round++) {
      const direct = await measureThroughput(`${podIp(0)}:${podPort}`, seconds);
      const before = [cpuOf(pid), backends.haproxyCpu()] as const;
      const own = await measureThroughput(`${clusterIp(0)}:80`, seconds);
      const haproxy = await measureThroughput(backends.haproxy, seconds);
      cpu.own += cpuOf(pid) - before[0];
      cpu.haproxy += backends.haproxyCpu() - before[1];
      rounds.push({ direct, own, haproxy });
    }
    for (const [name, key, part] of [
      ["requests, kept alive", "keptAlive", 0.4],
      ["requests, a connection each", "newConnections", 0.3],
    ] as const) {
      const middle = (way: "own" | "haproxy") =>
        rounds.toSorted((a, b) => a[way][key] / a.direct[key] - b[way][key] / b.direct[key])[1] ?? rounds[0];
      for (const way of ["own", "haproxy"] as const) {
        const round = middle(way);
        if (!round) continue;
        const baseline = round.direct[key];
        const goal = way === "own" ? { goal: { least: part * baseline } } : {};
        const value = round[way][key];
        report({
          name: way === "own" ? name : "  the same through haproxy",
          value,
          unit: "a second",
          baseline,
          against: "direct",
          ...goal,
        });
      }
    }
    const each = (way: "own" | "haproxy") =>
      (cpu[way] * 1000) /
      rounds.reduce((sum, round) => sum + (round[way].keptAlive + round[way].newConnections) * seconds, 0);
    report({
      name: "processor time a request",
      value: each("own"),
      unit: "us",
      baseline: each("haproxy"),
      against: "haproxy",
    });
  } finally {
    backends.close();
  }
}

/** A proxy that has loaded everything, and what that took it. */
async function startLoaded(kubeconfig: string): Promise<{ proxy: ChildProcess; took: Took }> {
  const proxy = fork(program("worker"), [kubeconfig, mode]);
  const { milliseconds, cpu } = await message(proxy, "ready");
  return { proxy, took: { clock: milliseconds, cpu } };
}

async function end(proxy: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => proxy.once("exit", resolve));
  proxy.disconnect();
  await ended;
}

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Waits until the API server here and the proxy rest: both collect garbage some seconds after much work, and a change must not wait for that. */
async function settle(proxy: ChildProcess): Promise<void> {
  const spent = async () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000 + (await figuresOf(proxy)).cpu;
  };
  let last = await spent();
  for (let second = 0, quiet = 0; second < 60 && quiet < 12; second++) {
    await sleep(1_000);
    const now = await spent();
    quiet = now - last < 30 ? quiet + 1 : 0;
    last = now;
  }
}

/** Processor time in a second of rest, in milliseconds: the middle one of three stretches, once what is left of the work before has ended. */
async function measureIdle(proxy: ChildProcess): Promise<{ rss: number; idle: number }> {
  await sleep(10_000);
  const stretches: number[] = [];
  let last = await figuresOf(proxy);
  for (let i = 0; i < 3; i++) {
    await sleep(5_000);
    const next = await figuresOf(proxy);
    stretches.push((next.cpu - last.cpu) / 5);
    last = next;
  }
  return { rss: last.rss, idle: median(stretches) };
}

await leaveNetwork();
const kind = mode === "iptables" ? chooseIptables() : undefined;
const loads = services > 20_000 || mode !== "nftables" ? 1 : 3;
const makeBare = { nftables: bareNftables, iptables: bareIptables, userspace: undefined }[mode];
const bare = await makeBare?.(services, endpoints);
const tool = mode === "nftables" ? "bare nft -f" : `bare iptables-restore (${kind})`;
if (bare) report({ name: "rows", value: bare.rows, unit: "rows" });

const cluster = await startTestCluster({ controllers: false });
let proxy: ChildProcess | undefined;
try {
  const client = createHttpClient(await loadKubeconfig({ path: cluster.kubeconfigFile }));
  const begun = performance.now();
  // The last one is for what iptables takes alone.
  const objects = services + (mode === "iptables" ? 1 : 0);
  await inParallel(objects, async (i) => {
    await client.create(resources.Service, serviceOf(i));
    await client.create(resources.EndpointSlice, sliceOf(i, endpoints));
  });
  report({
    name: "objects created through the API",
    value: (objects * 2000) / (performance.now() - begun),
    unit: "a second",
  });

  // In turn, so that both meet what else the machine does; the pair whose ratio is the median is told.
  const pairs: { own: Took; alone: Took | undefined }[] = [];
  for (let i = 0; i < loads; i++) {
    const alone = await bare?.load();
    if (mode === "nftables" && i === 0) {
      const { library, messages } = await measureKernelsPart(endpoints);
      for (const [name, q] of quantiles) {
        const most = 1.5 * quantile(library, q);
        report({
          name: `the kernel's part of one endpoint, ${name}`,
          value: quantile(messages, q),
          unit: "ms",
          baseline: quantile(library, q),
          against: "bare libnftables",
          goal: { most },
        });
      }
    }
    await bare?.clear();
    if (proxy) {
      await end(proxy);
      await removeProxy(systemCommands);
    }
    const loaded = await startLoaded(cluster.kubeconfigFile);
    proxy = loaded.proxy;
    pairs.push({ own: loaded.took, alone });
  }
  for (const [name, measure] of [
    ["full load, from the API to the last row", "clock"],
    ["  processor time of the proxy for it", "cpu"],
  ] as const) {
    const ratio = ({ own, alone }: (typeof pairs)[number]) => own[measure] / (alone?.[measure] ?? 1);
    const pair = pairs.toSorted((a, b) => ratio(a) - ratio(b))[pairs.length >> 1];
    if (!pair) continue;
    const baseline = pair.alone?.[measure];
    const beside = baseline === undefined ? {} : { baseline, against: tool };
    const inTime = measure === "clock" && mode === "nftables" ? goalFor({ 10_000: 2_000, 44_000: 10_000 }) : {};
    const twice = measure === "cpu" && mode === "nftables" && baseline ? { goal: { most: 2 * baseline } } : {};
    report({ name, value: pair.own[measure], unit: "ms", ...beside, ...inTime, ...twice });
  }
  if (!proxy) throw new Error("no proxy was started");

  // The bare rows that stand beside the proxy's are put in by the first bare change: the kernel tells the proxy of each of them.
  await bare?.change();
  await bare?.change();
  await settle(proxy);
  const before = await figuresOf(proxy);
  const { total, written, bare: alone } = await measureChanges(client, proxy, bare);
  const after = await figuresOf(proxy);
  const since = total.map((time, i) => time - (written[i] ?? 0));
  for (const [name, q] of quantiles) {
    const held = bare ? { baseline: quantile(alone, q), against: tool } : {};
    const soon = name === "p99" && mode === "nftables" ? { goal: { most: 5 } } : {};
    const near = name === "p99" && mode === "iptables" ? { goal: { most: 1.2 * quantile(alone, q) } } : {};
    const at = q === 0.5 ? after.p50 : after.p99;
    report({ name: `one endpoint, sent to in force, ${name}`, value: quantile(total, q), unit: "ms", ...held });
    report({ name: `  of which the API's answer, ${name}`, value: quantile(written, q), unit: "ms" });
    report({ name: `  answered to in force, ${name}`, value: quantile(since, q), unit: "ms", ...soon });
    report({ name: `  arrived at the proxy to in force, ${name}`, value: at, unit: "ms", ...held, ...near });
  }
  report({
    name: "  processor time of the proxy a change",
    value: (after.cpu - before.cpu) / (changes + 20),
    unit: "ms",
  });
  if (after.failure !== undefined) throw new Error(after.failure);

  const { rss, idle } = await measureIdle(proxy);
  const small = goalFor({ 10_000: 250, 44_000: 600 });
  report({ name: "memory of the proxy", value: rss / 2 ** 20, unit: "MiB", ...small });
  report({ name: "idle: processor time in a second", value: idle, unit: "ms", goal: { most: 5 } });

  await measureConnects();
  if (mode === "userspace") await measureRequests(proxy);
} finally {
  if (proxy) await end(proxy);
  await removeProxy(systemCommands);
  await cluster.stop();
  rmSync(folder, { recursive: true, force: true });
}
process.exit();
