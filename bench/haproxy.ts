// The data plane on HAProxy beside HAProxy with a minimal configuration written by hand, in the same run: requests per second
// by wrk, and processor time of HAProxy per request, which other work on the machine changes little.
// Usage: npm run bench:haproxy -- [--seconds 3] [--rounds 5] [--connections 64] [--json]
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { parseArgs, promisify } from "node:util";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { startHaproxy } from "../src/dataplane/index.ts";
import { translateIngresses } from "../src/routing/index.ts";
import { silentLogger } from "../src/system/index.ts";
import { startMinimalHaproxy } from "./support/minimal-haproxy.ts";

const run = promisify(execFile);

if (isMainThread) await main();
else {
  const server = createServer((_request, response) => {
    response.writeHead(200, ["content-type", "text/plain", "content-length", "12"]);
    response.end("hello world\n");
  });
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  server.listen(0, "127.0.0.1", () => parentPort?.postMessage((server.address() as AddressInfo).port));
}

/** Seconds of processor time that a process has had. */
async function processorTime(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function children(): Promise<number[]> {
  const found: number[] = [];
  for (const entry of await readdir("/proc")) {
    const stat = await readFile(`/proc/${entry}/stat`, "utf8").catch(() => "");
    if (new RegExp(`^\\d+ \\(haproxy\\) \\S ${process.pid} `).test(stat)) found.push(Number(entry));
  }
  return found;
}

async function main(): Promise<void> {
  const { values: flags } = parseArgs({
    options: {
      seconds: { type: "string", default: "3" },
      rounds: { type: "string", default: "5" },
      connections: { type: "string", default: "64" },
      json: { type: "boolean", default: false },
    },
  });
  const backend = new Worker(new URL(import.meta.url));
  const backendPort = await new Promise<number>((resolve) => backend.once("message", resolve));
  const stop = new AbortController();
  const dataplane = startHaproxy({ address: "127.0.0.1", signal: stop.signal, log: silentLogger });
  const service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", namespace: "bench" },
    spec: { ports: [{ port: 80 }] },
  };
  const { model } = translateIngresses({
    ingresses: [
      {
        apiVersion: "networking.k8s.io/v1",
        kind: "Ingress",
        metadata: { name: "web", namespace: "bench" },
        spec: {
          ingressClassName: "fairlead",
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
    ] as never,
    classes: [{ metadata: { name: "fairlead" }, spec: { controller: "fairlead.dev/ingress" } }] as never,
    service: () => service,
    slices: () =>
      [
        {
          metadata: { name: "web", namespace: "bench", labels: { "kubernetes.io/service-name": "web" } },
          addressType: "IPv4",
          ports: [{ name: "", port: backendPort, protocol: "TCP" }],
          endpoints: [{ addresses: ["127.0.0.1"], conditions: { ready: true } }],
        },
      ] as never,
    secret: () => undefined,
    inspect: () => undefined,
    controllerName: "fairlead.dev/ingress",
    ports: { http: 0, https: 0 },
  });
  await dataplane.apply({ model, keyPair: () => undefined });
  const [own = 0] = await children();
  const minimal = await startMinimalHaproxy(backendPort);
  const port = dataplane.listeners().find(({ name }) => name === "http")?.port ?? 0;

  async function measure(to: { port: number; pid: number }): Promise<{ rate: number; cpu: number }> {
    const before = await processorTime(to.pid);
    const { stdout } = await run("wrk", [
      "-t1",
      `-c${flags.connections}`,
      `-d${flags.seconds}s`,
      "-H",
      "Host: bench.test",
      `http://127.0.0.1:${to.port}/`,
    ]);
    const used = (await processorTime(to.pid)) - before;
    if (/Non-2xx/.test(stdout)) throw new Error(stdout);
    const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
    return { rate: requests / Number(flags.seconds), cpu: (used / requests) * 1e6 };
  }

  const rounds: { ours: Awaited<ReturnType<typeof measure>>; theirs: Awaited<ReturnType<typeof measure>> }[] = [];
  await measure({ port, pid: own });
  for (let round = 0; round < Number(flags.rounds); round++)
    rounds.push({ ours: await measure({ port, pid: own }), theirs: await measure(minimal) });
  const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
  const report = (name: string, unit: string, pick: (each: { rate: number; cpu: number }) => number): void => {
    const round = (value: number): number => Number(value.toPrecision(4));
    const value = round(median(rounds.map(({ ours }) => pick(ours))));
    const baseline = round(median(rounds.map(({ theirs }) => pick(theirs))));
    const ratio = round(median(rounds.map(({ ours, theirs }) => pick(ours) / pick(theirs))));
    if (flags.json) console.log(JSON.stringify({ name, value, unit, baseline, ratio }));
    else console.log(`${name.padEnd(40)} ${value} ${unit}  (minimal configuration ${baseline}, ratio ${ratio})`);
  };
  report("requests, HTTP keep-alive", "1/s", ({ rate }) => rate);
  report("processor time of HAProxy per request", "us", ({ cpu }) => cpu);
  await minimal.stop();
  stop.abort();
  await dataplane.stopped;
  await backend.terminate();
}
