// The embedded data plane beside the same requests sent straight to the backend, in the same run. Backend and load have
// a thread each; figures of a machine with few cores are for comparison only.
// Against other programs: `npm run bench:l7`.
// Usage: npm run bench:dataplane -- [--seconds 2] [--rounds 3] [--connections 64] [--ingresses 5000] [--json]
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { createEventRecorder, createFakeClient, createInformers } from "../src/client/index.ts";
import { startEmbedded, startIngress } from "../src/dataplane/index.ts";
import { resources } from "../src/kube/index.ts";
import { createMetrics, silentLogger, systemClock } from "../src/system/index.ts";

interface Load {
  readonly role: "load";
  readonly port: number;
  readonly tls: boolean;
  readonly path: string;
  readonly connections: number;
  readonly milliseconds: number;
}

interface Outcome {
  readonly requests: number;
  readonly bytes: number;
  /** Microseconds. */
  readonly median: number;
}

if (isMainThread) await main();
else if ((workerData as { role: string }).role === "backend") serveBackend();
else await runLoad(workerData as Load);

function tell(message: number | Outcome): void {
  // A worker's port takes no target origin.
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  parentPort?.postMessage(message);
}

function serveBackend(): void {
  const small = Buffer.from("hello world\n");
  const large = Buffer.alloc(1 << 20, "x");
  const server = createServer((request, response) => {
    const body = request.url === "/large" ? large : small;
    response.writeHead(200, ["content-type", "text/plain", "content-length", String(body.length)]);
    response.end(body);
  });
  server.listen(0, "127.0.0.1", () => tell((server.address() as AddressInfo).port));
}

/** One request after the other on each of so many connections, until the time is over. */
async function runLoad(load: Load): Promise<void> {
  const times: number[] = [];
  let bytes = 0;
  const end = performance.now() + load.milliseconds;
  const request = `GET ${load.path} HTTP/1.1\r\nHost: bench.test\r\n\r\n`;
  await Promise.all(
    Array.from({ length: load.connections }, () => {
      const options = { port: load.port, host: "127.0.0.1" };
      const socket = load.tls
        ? connectTls({ ...options, servername: "bench.test", rejectUnauthorized: false })
        : connect(options);
      return new Promise<void>((resolve, reject) => {
        let begun = 0;
        let head = "";
        let missing = -1;
        const next = (): void => {
          if (performance.now() >= end) {
            socket.destroy();
            resolve();
            return;
          }
          begun = performance.now();
          head = "";
          missing = -1;
          socket.write(request);
        };
        socket.once(load.tls ? "secureConnect" : "connect", next);
        socket.on("error", reject);
        socket.on("data", (chunk) => {
          bytes += chunk.length;
          let body = chunk.length;
          if (missing < 0) {
            head += chunk.toString("latin1");
            const stop = head.indexOf("\r\n\r\n");
            if (stop < 0) return;
            if (!head.startsWith("HTTP/1.1 200")) return reject(new Error(head.slice(0, 200)));
            missing = Number(/content-length: (\d+)/i.exec(head)?.[1]);
            body = head.length - stop - 4;
          }
          missing -= body;
          if (missing > 0) return;
          times.push(performance.now() - begun);
          next();
        });
      });
    }),
  );
  times.sort((a, b) => a - b);
  const at = (q: number): number => (times[Math.floor(times.length * q)] ?? Number.NaN) * 1000;
  tell({ requests: times.length, bytes, median: at(0.5) } satisfies Outcome);
}

async function main(): Promise<void> {
  const { values: flags } = parseArgs({
    options: {
      seconds: { type: "string", default: "2" },
      rounds: { type: "string", default: "3" },
      connections: { type: "string", default: "64" },
      ingresses: { type: "string", default: "5000" },
      json: { type: "boolean", default: false },
    },
  });
  const milliseconds = Number(flags.seconds) * 1000;
  const connections = Number(flags.connections);

  function report(name: string, value: number, unit: string, baseline?: number): void {
    const round = (number: number): number => Number(number.toPrecision(4));
    const compared = baseline === undefined ? {} : { baseline: round(baseline), ratio: round(value / baseline) };
    if (flags.json) return console.log(JSON.stringify({ name, value: round(value), unit, ...compared }));
    const beside = baseline === undefined ? "" : `  (direct ${round(baseline)}, ratio ${round(value / baseline)})`;
    console.log(`${name.padEnd(46)} ${round(value)} ${unit}${beside}`);
  }

  const file = new URL(import.meta.url);
  const backend = new Worker(file, { workerData: { role: "backend" } });
  const backendPort = await message<number>(backend);
  const cluster = await startCluster(backendPort);

  const load = (to: { port: number; tls?: boolean }, path = "/", many = connections): Promise<Outcome> =>
    message(
      new Worker(file, {
        workerData: { role: "load", tls: false, ...to, path, connections: many, milliseconds } satisfies Load,
      }),
    );
  const direct = { port: backendPort };
  const http = { port: cluster.port("http") };
  const https = { port: cluster.port("https"), tls: true };

  /** Median over the rounds; direct and proxied alternate, so that both see the same machine. */
  async function compare(a: () => Promise<number>, b: () => Promise<number>): Promise<[number, number]> {
    const figures: [number, number][] = [];
    for (let round = 0; round < Number(flags.rounds); round++) figures.push([await a(), await b()]);
    const median = (index: 0 | 1): number =>
      figures.map((pair) => pair[index]).sort((x, y) => x - y)[Math.floor(figures.length / 2)] ?? Number.NaN;
    return [median(0), median(1)];
  }

  const rate = async (outcome: Promise<Outcome>): Promise<number> => (await outcome).requests / (milliseconds / 1000);
  const volume = async (outcome: Promise<Outcome>): Promise<number> =>
    (await outcome).bytes / (milliseconds / 1000) / (1 << 20);

  await load(http); // warm
  const small = await compare(
    () => rate(load(http)),
    () => rate(load(direct)),
  );
  report("requests, HTTP keep-alive", small[0], "1/s", small[1]);
  const secure = await compare(
    () => rate(load(https)),
    () => rate(load(direct)),
  );
  report("requests, HTTPS keep-alive", secure[0], "1/s", secure[1]);
  const large = await compare(
    () => volume(load(http, "/large", 8)),
    () => volume(load(direct, "/large", 8)),
  );
  report("answers of 1 MiB", large[0], "MiB/s", large[1]);
  const latency = await compare(
    async () => (await load(http, "/", 1)).median,
    async () => (await load(direct, "/", 1)).median,
  );
  report("median latency, one connection", latency[0], "us", latency[1]);

  await measureChanges(cluster, Number(flags.ingresses), backendPort, report);
  cluster.stop();
  await backend.terminate();
}

type Cluster = Awaited<ReturnType<typeof startCluster>>;

async function startCluster(backendPort: number) {
  const stop = new AbortController();
  const { signal } = stop;
  const client = createFakeClient();
  const log = silentLogger;
  const dataplane = startEmbedded({ address: "127.0.0.1", metrics: createMetrics(), signal, log });
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
  const cluster = {
    port(name: string): number {
      return dataplane.listeners().find((listener) => listener.name === name)?.port ?? 0;
    },
    add(name: string, host: string, address = "127.0.0.1", port = backendPort): void {
      client.put(resources.Service, { metadata: { name, namespace: "bench" }, spec: { ports: [{ port: 80 }] } });
      cluster.endpoints(name, address, port);
      client.put(resources.Ingress, {
        metadata: { name, namespace: "bench" },
        spec: {
          ingressClassName: "fairlead",
          rules: [
            {
              host,
              http: {
                paths: [{ path: "/", pathType: "Prefix", backend: { service: { name, port: { number: 80 } } } }],
              },
            },
          ],
        },
      });
    },
    endpoints(name: string, address: string, port: number): void {
      client.put(resources.EndpointSlice, {
        metadata: { name, namespace: "bench", labels: { "kubernetes.io/service-name": name } },
        addressType: "IPv4",
        ports: [{ name: "", port, protocol: "TCP" }],
        endpoints: [{ addresses: [address], conditions: { ready: true } }],
      });
    },
    status: (host: string): Promise<number> => fetchStatus(cluster.port("http"), host),
    stop: () => stop.abort(),
  };
  cluster.add("web", "bench.test");
  await until(async () => (await cluster.status("bench.test")) === 200);
  return cluster;
}

async function measureChanges(
  cluster: Cluster,
  count: number,
  backendPort: number,
  report: (name: string, value: number, unit: string) => void,
): Promise<void> {
  const begin = performance.now();
  for (let i = 0; i < count; i++) cluster.add(`app-${i}`, `app-${i}.test`);
  await until(async () => (await cluster.status(`app-${count - 1}.test`)) === 200);
  report(`${count} Ingresses written at once, all served`, performance.now() - begin, "ms");

  const times = { endpoint: [] as number[], ingress: [] as number[] };
  for (let i = 0; i < 10; i++) {
    // A storm of changes is translated in few steps, with a rest between them; here each change comes alone.
    await new Promise((resolve) => setTimeout(resolve, 500));
    const name = `app-${i}`;
    cluster.endpoints(name, "127.0.0.1", 1);
    await until(async () => (await cluster.status(`${name}.test`)) === 502);
    const start = performance.now();
    cluster.endpoints(name, "127.0.0.1", backendPort);
    await until(async () => (await cluster.status(`${name}.test`)) === 200);
    times.endpoint.push(performance.now() - start);
    const added = performance.now();
    cluster.add(`new-${i}`, `new-${i}.test`);
    await until(async () => (await cluster.status(`new-${i}.test`)) === 200);
    times.ingress.push(performance.now() - added);
  }
  const median = (figures: number[]): number => figures.sort((a, b) => a - b)[figures.length >> 1] ?? Number.NaN;
  report(`one endpoint changed among ${count}, until served`, median(times.endpoint), "ms");
  report(`one Ingress added to ${count}, until served`, median(times.ingress), "ms");
}

function message<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 20_000; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error("bench: waited in vain");
}

function fetchStatus(port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () =>
      socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
    );
    socket.once("data", (chunk) => {
      resolve(Number(chunk.toString("latin1", 9, 12)));
      socket.destroy();
    });
    socket.once("error", reject);
  });
}
