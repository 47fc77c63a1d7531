// The embedded data plane in processes of its own: what they may, what happens when one dies, how they end.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent } from "node:http";
import { mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { startEmbeddedWorkers } from "../../src/dataplane/index.ts";
import { embeddedProgram } from "../support/embedded-program.ts";
import { send as sendBy } from "./clients.ts";
import { eventually, type TestCluster } from "./cluster.ts";
import { fixture, rule } from "./suite.ts";

const program = await embeddedProgram();
process.env["KUBECONFIG"] = "/nowhere/that/a/data/plane/needs";
const made = fixture((options) => startEmbeddedWorkers({ ...options, program, processes: 2 }));

const logFile = join(mkdtempSync(join(tmpdir(), "fairlead-log-")), "access.log");
const log = openSync(logFile, "a");
afterAll(() => rmSync(dirname(logFile), { recursive: true }));
const logged = fixture((options) => startEmbeddedWorkers({ ...options, program, processes: 2, accessLog: log }));

/** Each on a connection of its own: one that is kept ends with the process that has it. */
const agent = new Agent({ keepAlive: false });
const send = (...[cluster, path, options]: Parameters<typeof sendBy>): ReturnType<typeof sendBy> =>
  sendBy(cluster, path, { ...(options?.tls ? {} : { agent }), ...options });

/** Processes that serve, of those that a process started. */
function workersOf(parent: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const [, state = "", owner = ""] = read(`/proc/${pid}/stat`).match(/\) (\S) (\d+) /) ?? [];
      return state !== "Z" && Number(owner) === parent && read(`/proc/${pid}/cmdline`).includes(program);
    });
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** Inodes of the sockets that a process has. */
function socketsOf(pid: number): Set<string> {
  const found = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const [, inode] = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? [];
      if (inode) found.add(inode);
    } catch {
      // Closed meanwhile.
    }
  }
  return found;
}

function listeningInode(port: number): string {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  for (const line of read("/proc/net/tcp").split("\n")) {
    const fields = line.trim().split(/\s+/);
    if (fields[1]?.endsWith(`:${hex}`) && fields[3] === "0A") return fields[9] ?? "";
  }
  return "none";
}

describe("processes of the embedded data plane", () => {
  test("are not there until there is something to send to, and end with their controller", async () => {
    const before = new Set(workersOf(process.pid));
    const cluster = await made.cluster();
    expect((await send(cluster, "/")).status).toBe(404);
    expect(workersOf(process.pid).filter((pid) => !before.has(pid))).toEqual([]);
    const backend = await made.backend("a");
    cluster.service("web", [backend]);
    cluster.addIngress("web", { rules: [rule("web")] });
    await cluster.served();
    expect((await send(cluster, "/")).status).toBe(200);
    const own = workersOf(process.pid).filter((pid) => !before.has(pid));
    expect(own).toHaveLength(2);
    await cluster.stop();
    for (const pid of own) expect(read(`/proc/${pid}/cmdline`)).toBe("");
  });

  test("have the port together, and nothing of the controller's rights and surroundings", async () => {
    const cluster = await made.lastingShop("a");
    const workers = workersOf(process.pid);
    expect(workers).toHaveLength(2);
    const inode = listeningInode(cluster.port("http"));
    for (const pid of workers) {
      expect(socketsOf(pid)).toContain(inode);
      const status = read(`/proc/${pid}/status`);
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      if (process.getuid?.() === 0) {
        expect(status).not.toMatch(/^Uid:.*\t0\b/m);
        expect(status).not.toMatch(/^Gid:.*\t0\b/m);
        expect(status).toMatch(/^CapEff:\t0+$/m);
        expect(status).toMatch(/^Groups:\t\s*$/m);
      }
      const environment = read(`/proc/${pid}/environ`).split("\0").filter(Boolean);
      expect(environment.map((each) => each.split("=")[0]).toSorted()).toEqual([
        "NODE_CHANNEL_FD",
        "NODE_CHANNEL_SERIALIZATION_MODE",
        "PATH",
      ]);
    }
  });

  test("write down each request with the object that led it, and count it by route", async () => {
    const cluster = await logged.shop("a");
    expect((await send(cluster, "/plain?a=b", { headers: { "user-agent": 'a"}, \\ \u00e9' } })).status).toBe(200);
    expect((await send(cluster, "/other", { headers: { te: "trailers" } })).status).toBe(200);
    expect((await send(cluster, "/none", { host: "unknown.test" })).status).toBe(404);
    await eventually("all are written down", () => /^(?:.*\n){3,}$/.test(read(logFile)));
    const lines = read(logFile)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
    const of = (target: string) => lines.find((line) => line["target"] === target);
    expect(lines).toHaveLength(3);
    for (const target of ["/plain?a=b", "/other"])
      expect(of(target)).toMatchObject({
        status: 200,
        method: "GET",
        client: "127.0.0.1",
        route: { kind: "Ingress", namespace: "shop", name: "web", rule: "spec.rules[0].http.paths[0]" },
        endpoint: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as string,
      });
    expect(of("/plain?a=b")).toMatchObject({ userAgent: 'a"}, \\ \u00e9' });
    expect(of("/none")).toMatchObject({ status: 404, host: "unknown.test" });
    expect(of("/none")).not.toHaveProperty("route");
    const labels = 'kind="Ingress",namespace="shop",name="web",rule="spec.rules[0].http.paths[0]",backend="shop/web:';
    await eventually("both ways are counted", async () =>
      (await cluster.metrics.text())
        .split("\n")
        .some((line) => line.startsWith(`fairlead_route_requests_total{${labels}`) && line.endsWith('code="200"} 2')),
    );
  });

  test("are there again when they are killed: no connection is refused, and what changed meanwhile holds", async () => {
    const cluster = await made.lastingShop("a");
    const statuses: number[] = [];
    const text = async (): Promise<string> => cluster.metrics.text();
    for (let round = 0; round < 2; round++) {
      const workers = workersOf(process.pid);
      for (const pid of workers) process.kill(pid, "SIGKILL");
      await eventually("they are gone", () => workers.every((pid) => !workersOf(process.pid).includes(pid)));
      const asked = Array.from({ length: 10 }, () => send(cluster, "/"));
      cluster.addIngress(`late-${round}`, { rules: [rule("web", { host: `late-${round}.test` })] });
      await cluster.served();
      for (const reply of await Promise.all(asked)) statuses.push(reply.status);
      expect((await send(cluster, "/", { host: `late-${round}.test` })).status).toBe(200);
      // What a process has counted is told a little later, and lost with it until then.
      const all = `fairlead_ingress_requests_total{code="200"} ${11 * (round + 1)}\n`;
      await eventually("all are counted", async () => (await text()).includes(all));
    }
    expect(statuses).toEqual(Array(20).fill(200));
    await eventually("none is under way", async () =>
      (await text()).includes("fairlead_ingress_requests_in_flight 0\n"),
    );
  });

  test("when they stop, requests in flight are answered first", async () => {
    const waiting: (() => void)[] = [];
    const cluster = await made.shop("a", (_request, response) => void waiting.push(() => response.end("finished")));
    const replies = Promise.all([send(cluster, "/"), send(cluster, "/", { tls: {} })]);
    await eventually("both are there", () => waiting.length === 2);
    const stopped = cluster.stop();
    await eventually("it takes no more", () => refuses(cluster));
    for (const finish of waiting) finish();
    expect((await replies).map(({ body }) => body)).toEqual(["finished", "finished"]);
    await stopped;
  });

  test("when their controller is killed, they go too", async () => {
    const parts = join(program, "../../../..");
    const script = `
      const { startEmbeddedWorkers } = await import(${JSON.stringify(pathToFileURL(join(parts, "dataplane/index.js")).href)});
      const { createMetrics, silentLogger } = await import(${JSON.stringify(pathToFileURL(join(parts, "system/index.js")).href)});
      const plane = startEmbeddedWorkers({ metrics: createMetrics(), log: silentLogger, signal: new AbortController().signal, processes: 1, program: ${JSON.stringify(program)} });
      const owner = { object: { kind: "Service", name: "a" }, field: "" };
      const pool = { key: "a", service: { namespace: "a", name: "a" }, port: "80", protocol: "http", endpoints: [] };
      await plane.apply({ model: { listeners: [], pools: new Map([["a", pool]]) }, keyPair: () => undefined });
      console.log("ready");
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(parent.stdout, "data");
    const [worker = 0] = workersOf(parent.pid ?? 0);
    expect(worker).toBeGreaterThan(0);
    parent.kill("SIGKILL");
    await eventually("it has gone", () => !read(`/proc/${worker}/cmdline`).includes(program));
  });
});

async function refuses(cluster: TestCluster): Promise<boolean> {
  return send(cluster, "/").then(
    () => false,
    () => true,
  );
}
