import { fork, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createHttpClient, loadKubeconfig, type Client } from "../../src/client/index.ts";
import { resources } from "../../src/kube/index.ts";
import { askProxy, removeProxy, type ProxyMode } from "../../src/proxy/index.ts";
import { runOrThrow, systemCommands } from "../../src/system/index.ts";
import { createLab, nodeAddress, podAddress, whyNoLab, type Lab } from "../proxy/lab.ts";
import { service, slice } from "../proxy/objects.ts";
import { eventually } from "../support/cluster.ts";
import { repository } from "../support/lab.ts";

const isLong = process.env["HITLESS"] === "full";
/**
 * How much of it: `npm run soak:proxy` takes the long form, with as many connections a second as it is told (`HITLESS_RATE`), and fewer where the
 * machine cannot make twice as many straight to the pods, without any proxy.
 */
const form = isLong
  ? {
      rate: Number(process.env["HITLESS_RATE"] ?? 2_000),
      held: 500,
      services: 100,
      churn: 50,
      restarts: 20,
      kills: 20,
      triangles: 10,
      flushes: 10,
      away: 60,
    }
  : { rate: 150, held: 40, services: 10, churn: 10, restarts: 2, kills: 2, triangles: 1, flushes: 2, away: 3 };

/** Milliseconds around a flush in which connections may be lost: until packets come through again, and those under way at either end. */
const underWay = 500;
const port = 6443;
const pods = 10;
const program = join(repository, "fairlead");
const address = (i: number) => `10.96.1.${i + 1}`;
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

interface Result {
  readonly type: "result";
  readonly sent: number;
  readonly ok: number;
  readonly slow: number;
  readonly skipped: number;
  readonly opened: number;
  readonly lost: readonly { readonly at: number; readonly why: string }[];
  readonly broken: readonly { readonly at: number; readonly why: string }[];
}

/** What the kernel counts of TCP in the three namespaces together: whether somebody was too slow to take what came, or packets were lost. */
async function tcpCounts(): Promise<Record<string, number>> {
  const counts: Record<string, number> = { ListenOverflows: 0, ListenDrops: 0, TCPTimeouts: 0, TCPSynRetrans: 0 };
  for (const name of ["client", "node", "pods"]) {
    const netns = `fl-${name}-${process.pid}`;
    const said = await runOrThrow(systemCommands, "ip", ["netns", "exec", netns, "cat", "/proc/net/netstat"]);
    const [names = "", values = ""] = said.split("\n").filter((line) => line.startsWith("TcpExt:"));
    const numbers = values.split(" ");
    for (const [i, key] of names.split(" ").entries()) if (counts[key] !== undefined) counts[key] += Number(numbers[i]);
  }
  return counts;
}

const why = whyNoLab ? ` (${whyNoLab})` : "";

describe.skipIf(whyNoLab)(`a proxy that nobody notices${why}`, () => {
  let lab: Lab;
  let api: ChildProcess | undefined;
  let proxy: ChildProcess | undefined;
  let load: ChildProcess | undefined;
  let client: Client;
  let said = "";
  let starts = 0;
  let churning = true;
  let changes = 0;
  const dir = mkdtempSync(join(tmpdir(), "fairlead-hitless-"));
  const control = join(dir, "proxy.sock");

  /** Starts a program; what it prints goes to `said`. */
  function start(...args: string[]): ChildProcess {
    const child = spawn(process.execPath, [program, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, HOME: dir },
    });
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (data) => (said = (said + String(data)).slice(-200_000)));
    return child;
  }
  async function end(child: ChildProcess | undefined, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
  }
  async function startApi(): Promise<void> {
    api = start("test-cluster", "--dir", join(dir, "api"), "--no-fsync", "--port", String(port), "--no-controllers");
    const kubeconfig = await eventually("the API", async () => /"kubeconfig":\s*"([^"]+)"/.exec(said)?.[1], 60);
    client = createHttpClient(await loadKubeconfig({ path: kubeconfig }));
  }
  async function startProxy(): Promise<void> {
    const before = said.split("Services are served").length;
    const where = ["--kubeconfig", join(dir, "kubeconfig"), "--node", "node1", "--cluster-cidr", "10.42.0.0/16"];
    proxy = start("proxy", ...where, "--mode", "nftables", "--control-socket", control);
    await eventually(
      "the proxy",
      async () => (said.split("Services are served").length > before ? true : undefined),
      60,
    );
    starts++;
  }

  /** Endpoints come and go all the time, while there is an API to say so. */
  async function churn(): Promise<void> {
    while (churning) {
      const i = Math.floor(Math.random() * form.services);
      const first = Math.floor(Math.random() * pods);
      const some = Array.from({ length: 2 + Math.floor(Math.random() * 4) }, (_, k) => podAddress((first + k) % pods));
      const patch = { endpoints: slice("x", some).endpoints };
      await client
        .patch(resources.EndpointSlice, { namespace: "default", name: `svc-${i}-a` }, { type: "merge", body: patch })
        .then(
          () => changes++,
          () => {},
        );
      await sleep(1000 / form.churn);
    }
  }

  /** Starts a program that makes connections from the client's machine. */
  function startLoad(told: { rate: number; held: number; targets: readonly string[] }) {
    const maker = fork(join(repository, "test/hitless/load.mjs"), [JSON.stringify(told)], {
      execPath: "ip",
      execArgv: ["netns", "exec", `fl-client-${process.pid}`, process.execPath],
    });
    const message = (type: string) =>
      new Promise<Result>((resolve, reject) => {
        maker.on("message", (one: Result) => one.type === type && resolve(one));
        maker.once("exit", (code) => reject(new Error(`the load has ended: ${code}`)));
      });
    return { maker, message };
  }

  /** Connections a second straight to the pods, when twice as many as are wanted are asked for. */
  async function measureDirect(): Promise<number> {
    const targets = Array.from({ length: pods }, (_, i) => `${podAddress(i)}:8080`);
    const { maker, message } = startLoad({ rate: 2 * form.rate, held: 0, targets });
    await message("ready");
    const begun = performance.now();
    await sleep(5_000);
    const finished = message("result");
    const made = (performance.now() - begun) / 1000;
    maker.send("end");
    return Math.round((await finished).ok / made);
  }

  beforeAll(async () => {
    lab = await createLab();
    for (let i = 0; i < pods; i++) await lab.pods.serve({ address: podAddress(i), port: 8080 });
    await startApi();
    const metadata = { name: "node1" };
    await client.create(resources.Node, { metadata, spec: {} });
    const status = { addresses: [{ type: "InternalIP", address: nodeAddress }] };
    await client.patch(resources.Node, metadata, { type: "merge", body: { status } }, { subresource: "status" });
    for (let i = 0; i < form.services; i++) {
      await client.create(resources.Service, service(`svc-${i}`, { clusterIP: address(i) }));
      await client.create(resources.EndpointSlice, slice(`svc-${i}`, [0, 1, 2].map(podAddress)));
    }
    const [, kubeconfig = ""] = /"kubeconfig":\s*"([^"]+)"/.exec(said) ?? [];
    // The file goes with the API server, and the proxy must do without that too.
    await systemCommands.run("cp", [kubeconfig, join(dir, "kubeconfig")]);
    await startProxy();
  });
  afterAll(async () => {
    churning = false;
    if (load?.connected) load.disconnect();
    await end(proxy);
    await end(api);
    await removeProxy(systemCommands);
    await lab?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  test("no connection is lost while it restarts, dies, switches modes, is flushed, and is without an API", async () => {
    const targets = Array.from({ length: form.services }, (_, i) => `${address(i)}:80`);
    const direct = isLong ? await measureDirect() : undefined;
    const rate = Math.round(Math.min(form.rate, (direct ?? Infinity) / 2));
    const countedBefore = await tcpCounts();
    const { maker, message } = startLoad({ rate, held: form.held, targets });
    load = maker;
    await message("ready");
    const churned = churn();
    const flushes: { readonly from: number; readonly to: number }[] = [];
    const phases: Record<string, number> = {};
    await sleep(1_000);

    phases["restarts"] = Date.now();
    for (let i = 0; i < form.restarts; i++) {
      await end(proxy);
      await startProxy();
    }
    phases["kills"] = Date.now();
    for (let i = 0; i < form.kills; i++) {
      await end(proxy, "SIGKILL");
      await startProxy();
    }
    phases["switches"] = Date.now();
    for (let i = 0; i < form.triangles; i++) {
      for (const mode of ["iptables", "userspace", "nftables"] satisfies ProxyMode[]) {
        const switched = await askProxy(control, { switchTo: mode }).catch((error: unknown) => {
          const { exitCode, signalCode } = proxy ?? {};
          throw new Error(`${String(error)}; the proxy ended with ${exitCode}, ${signalCode}:\n${said.slice(-4_000)}`);
        });
        expect(switched).toMatchObject({ mode });
        phases[`${mode} ${i}`] = Date.now();
        await sleep(500);
      }
    }
    phases["flushes"] = Date.now();
    for (let i = 0; i < form.flushes; i++) {
      await systemCommands.run(
        "nft",
        i % 2 === 0 ? ["delete", "table", "ip", "fairlead"] : ["flush", "table", "ip", "fairlead"],
      );
      const from = Date.now();
      await eventually("the rules to be back", async () =>
        (await fetch("http://127.0.0.1:10256/readyz?probe=datapath")).ok ? true : undefined,
      );
      flushes.push({ from, to: Date.now() });
      await sleep(3_000);
    }
    phases["API away"] = Date.now();
    await end(api);
    await sleep(form.away * 1000);
    said = said.replaceAll(/"kubeconfig"[^\n]*/g, "");
    await startApi();
    const before = changes;
    await eventually("changes through the API", async () => (changes > before + 5 ? true : undefined));
    churning = false;
    await churned;

    const finished = message("result");
    maker.send("end");
    const { sent, ok, slow, skipped, opened, lost, broken } = await finished;
    const countedAfter = await tcpCounts();
    const counted = Object.fromEntries(
      Object.entries(countedAfter).map(([key, value]) => [key, value - (countedBefore[key] ?? 0)]),
    );
    const inFlush = ({ at }: { at: number }) =>
      flushes.some(({ from, to }) => at > from - underWay && at < to + underWay);
    const summary = {
      form,
      direct,
      rate,
      counted,
      sent,
      ok,
      slow,
      skipped,
      opened,
      starts,
      phases,
      repairs: flushes.map(({ from, to }) => to - from),
      changes,
      lostInFlush: lost.filter(inFlush).length,
      lost: lost.filter((one) => !inFlush(one)),
      broken,
    };
    if (process.env["HITLESS"]) console.log(JSON.stringify(summary, null, 1));
    expect(sent).toBeGreaterThan(rate * 5);
    expect(opened).toBeGreaterThanOrEqual(form.held);
    expect(summary.lost.slice(0, 5), JSON.stringify(summary).slice(0, 2000)).toEqual([]);
    expect(broken.slice(0, 5), JSON.stringify(summary).slice(0, 2000)).toEqual([]);
  }, 3_600_000);
});
