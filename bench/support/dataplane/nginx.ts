// The data plane on nginx beside a minimal nginx.conf that proxies to the same backend, in the same run: one worker each,
// load by wrk. The processor time of the worker for each request says most: it is the same on a busy machine.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createEventRecorder, createFakeClient, createInformers } from "../../../src/client/index.ts";
import { startIngress, startNginx } from "../../../src/dataplane/index.ts";
import { resources } from "../../../src/kube/index.ts";
import { freePort, silentLogger, systemClock } from "../../../src/system/index.ts";

export interface NginxBench {
  readonly seconds: number;
  readonly rounds: number;
  readonly connections: number;
  readonly report: (name: string, value: number, unit: string, baseline: number) => void;
}

interface Target {
  readonly port: number;
  readonly master: number;
}

interface Figures {
  readonly rate: number;
  /** Microseconds of the worker for a request. */
  readonly processor: number;
}

export async function benchNginx({ seconds, rounds, connections, report }: NginxBench): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "fairlead-bench-"));
  const stop = new AbortController();
  const children: ChildProcess[] = [];

  async function plain(name: string, http: (port: number) => string): Promise<Target> {
    const port = await freePort();
    const file = join(directory, `${name}.conf`);
    writeFileSync(
      file,
      `pid ${directory}/${name}.pid; daemon off; worker_processes 1; error_log stderr error;
events { worker_connections 4096; multi_accept on; }
http { access_log off; keepalive_requests 1000000; ${http(port)} }\n`,
    );
    const child = spawn("nginx", ["-p", directory, "-c", file], { stdio: ["ignore", "ignore", "inherit"] });
    children.push(child);
    await answered(port);
    return { port, master: child.pid ?? 0 };
  }

  try {
    const backend = await plain(
      "backend",
      (port) => `server { listen 127.0.0.1:${port}; location / { return 200 "hello world\\n"; } }`,
    );
    const minimal = await plain(
      "minimal",
      (port) => `upstream web { server 127.0.0.1:${backend.port}; keepalive 512; keepalive_requests 1000000; }
server { listen 127.0.0.1:${port}; server_name bench.test;
location / { proxy_pass http://web; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; } }`,
    );
    const own = await startOwn(directory, backend.port, stop.signal);
    const measure = (target: Target): Promise<Figures> => load(target, seconds, connections);
    await measure(own);
    const found: { own: Figures; minimal: Figures }[] = [];
    for (let round = 0; round < rounds; round++)
      found.push({ minimal: await measure(minimal), own: await measure(own) });
    const median = (pick: (each: (typeof found)[number]) => number): number =>
      found.map(pick).sort((a, b) => a - b)[found.length >> 1] ?? Number.NaN;
    report(
      "requests, HTTP keep-alive, one worker",
      median((each) => each.own.rate),
      "1/s",
      median((each) => each.minimal.rate),
    );
    report(
      "processor time of a request",
      median((each) => each.own.processor),
      "us",
      median((each) => each.minimal.processor),
    );
  } finally {
    stop.abort();
    for (const child of children) child.kill("SIGTERM");
    await new Promise((resolve) => setTimeout(resolve, 500));
    rmSync(directory, { recursive: true, force: true });
  }
}

async function startOwn(directory: string, backendPort: number, signal: AbortSignal): Promise<Target> {
  const client = createFakeClient();
  const log = silentLogger;
  const dataplane = startNginx({
    address: "127.0.0.1",
    workers: 1,
    directory: join(directory, "own"),
    signal,
    log,
  });
  client.put(resources.Service, { metadata: { name: "web", namespace: "bench" }, spec: { ports: [{ port: 80 }] } });
  client.put(resources.EndpointSlice, {
    metadata: { name: "web", namespace: "bench", labels: { "kubernetes.io/service-name": "web" } },
    addressType: "IPv4",
    ports: [{ name: "", port: backendPort, protocol: "TCP" }],
    endpoints: [{ addresses: ["127.0.0.1"], conditions: { ready: true } }],
  });
  client.put(resources.Ingress, {
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
  });
  const ingress = startIngress({
    client,
    informers: createInformers(client, { signal, log }),
    dataplane,
    addresses: () => ["127.0.0.1"],
    ports: { http: 0, https: 0 },
    signal,
    clock: systemClock,
    log,
    events: createEventRecorder(client, { component: "ingress", log }),
  });
  await ingress.ready;
  const port = dataplane.listeners().find(({ name }) => name === "http")?.port ?? 0;
  await answered(port);
  return { port, master: Number(readFileSync(join(directory, "own", "nginx.pid"), "utf8")) };
}

/** Processor time of a master's workers so far, in seconds. */
function processorTime(master: number): number {
  const children = readFileSync(`/proc/${master}/task/${master}/children`, "utf8").trim().split(" ");
  let ticks = 0;
  for (const pid of children) {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / 100;
}

async function load({ port, master }: Target, seconds: number, connections: number): Promise<Figures> {
  const before = processorTime(master);
  const text = await new Promise<string>((resolve, reject) => {
    const child = spawn("wrk", [
      "-t1",
      `-c${connections}`,
      `-d${seconds}s`,
      "-H",
      "Host: bench.test",
      `http://127.0.0.1:${port}/`,
    ]);
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    child.on("error", reject);
    child.on("exit", () => resolve(said));
  });
  const requests = Number(/(\d+) requests in/.exec(text)?.[1]);
  const rate = Number(/Requests\/sec:\s*([\d.]+)/.exec(text)?.[1]);
  if (/Non-2xx/.test(text) || !(requests > 0)) throw new Error(`wrk: ${text}`);
  return { rate, processor: ((processorTime(master) - before) / requests) * 1e6 };
}

async function answered(port: number): Promise<void> {
  for (let i = 0; i < 200; i++) {
    try {
      execFileSync("curl", ["-fs", "-o", "/dev/null", "-H", "Host: bench.test", `http://127.0.0.1:${port}/`]);
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error(`nothing answers at port ${port}`);
}
