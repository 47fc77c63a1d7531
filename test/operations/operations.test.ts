import { mkdtempSync, rmSync } from "node:fs";
import http2 from "node:http2";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { clientPrograms } from "../../scripts/kubectl.mjs";
import {
  createApiServer,
  createKubeletClient,
  openPki,
  serveHttps,
  writeKubeconfig,
  type ApiServer,
  type KeyPair,
  type Pki,
} from "../../src/apiserver/index.ts";
import { createMemoryStore, type Store } from "../../src/store/index.ts";
import { freePort, silentLogger, systemClock, systemCommands } from "../../src/system/index.ts";

const programs = clientPrograms();
const why = programs ? "" : " (skipped: kubectl is not installed: npm install)";
const configMaps = "/api/v1/namespaces/default/configmaps";

interface Server {
  readonly api: ApiServer;
  /** As `fairlead` does at SIGTERM. */
  end(): Promise<void>;
}

let dir: string;
let pki: Pki;
let own: KeyPair;
let client: KeyPair;
let port: number;
let store: Store;

async function startServer(): Promise<Server> {
  const stop = new AbortController();
  const { signal } = stop;
  const api = createApiServer({
    store,
    clock: systemClock,
    log: silentLogger,
    signal,
    serviceCidrs: ["10.96.0.0/16"],
    advertise: { address: "127.0.0.1", port },
    allowLoopback: true,
    kubelet: createKubeletClient({ ca: pki.ca, ...client }),
    flowControl: {},
  });
  const served = await serveHttps(api.handler, {
    host: "127.0.0.1",
    port,
    ...own,
    clientCa: pki.ca,
    authenticator: api.authenticator,
    signal,
    log: silentLogger,
  });
  await api.ready;
  return {
    api,
    async end() {
      api.leave();
      served.drain();
      await api.drain();
      stop.abort();
      await Promise.all([api.stopped, served.stopped]);
    },
  };
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "operations-"));
  pki = await openPki(join(dir, "pki"), systemClock);
  own = await pki.server("server", { name: "server", hosts: ["127.0.0.1"] });
  client = await pki.client("admin", { user: "admin", groups: ["system:masters"] });
  port = await freePort();
  store = createMemoryStore();
  const server = `https://127.0.0.1:${port}`;
  await writeKubeconfig(join(dir, "kubeconfig"), { cluster: "c", server, ca: pki.ca, user: "admin", client });
});
afterAll(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** HTTP/1.1. `onData` hears what comes; rejects when the answer breaks off. */
function ask(
  method: string,
  path: string,
  options: { body?: string | Buffer; headers?: object; onData?: () => void } = {},
) {
  return new Promise<Answer>((resolve, reject) => {
    const request = https.request(
      { host: "127.0.0.1", port, method, path, ca: pki.ca, ...client, agent: false, headers: { ...options.headers } },
      (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => {
          parts.push(part);
          options.onData?.();
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString() }));
        response.on("error", reject);
      },
    );
    request.on("error", reject);
    request.end(options.body);
  });
}

const create = (name: string) =>
  ask("POST", configMaps, {
    body: JSON.stringify({ metadata: { name } }),
    headers: { "content-type": "application/json" },
  });

/** One stream of a session; settles with its RST code at its end: 0 is a regular one. */
function stream(
  session: http2.ClientHttp2Session,
  path: string,
  onData: () => void,
): Promise<{ code: number; text: string }> {
  return new Promise((resolve, reject) => {
    const one = session.request({ ":path": path });
    let text = "";
    let ended = false;
    one.on("data", (part: Buffer) => {
      text += part.toString();
      onData();
    });
    one.on("end", () => (ended = true));
    one.on("error", reject);
    one.on("close", () => (ended ? resolve({ code: one.rstCode ?? 0, text }) : reject(new Error("no end of stream"))));
    one.end();
  });
}

const watchers = 200;

/** Watches of ConfigMaps, as the server counts them. */
async function underWay(): Promise<number> {
  const { text } = await ask("GET", "/metrics");
  const lines = text
    .split("\n")
    .filter((line) => /^apiserver_longrunning_requests\{.*resource="configmaps"/.test(line));
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

describe(`an API server that ends${why}`, () => {
  it.skipIf(!programs)(
    "ends watches of all clients in a regular way, and the next goes on where they were",
    async () => {
      const first = await startServer();
      await create("before");
      const session = http2.connect(`https://127.0.0.1:${port}`, { ca: pki.ca, ...client });
      let toldToGo = false;
      session.on("goaway", (code) => (toldToGo = code === 0));
      let began = 0;
      let allBegan = (): void => {};
      const watching = new Promise<void>((resolve) => (allBegan = resolve));
      const started = () => {
        const seen = { first: true };
        return () => {
          if (seen.first && ++began === watchers + 20) allBegan();
          seen.first = false;
        };
      };
      const watch = `${configMaps}?watch=1`;
      const streams = Array.from({ length: watchers }, () => stream(session, watch, started()));
      const plain = Array.from({ length: 20 }, () => ask("GET", watch, { onData: started() }));
      const kubectl = systemCommands.run(join(programs ?? "", "kubectl"), [
        "--kubeconfig",
        join(dir, "kubeconfig"),
        "get",
        "configmaps",
        "--watch",
        "--output=name",
      ]);
      await watching;
      await vi.waitFor(async () => expect(await underWay()).toBe(watchers + 21), { timeout: 20_000, interval: 200 });
      await first.end();
      const ended = await Promise.all(streams);
      expect(new Set(ended.map(({ code }) => code))).toEqual(new Set([0]));
      expect(toldToGo).toBe(true);
      expect(new Set((await Promise.all(plain)).map(({ status }) => status))).toEqual(new Set([200]));
      expect((await kubectl).code).toBe(0);

      // Nobody needs to list again: the versions that were seen are still known.
      const last = (ended[0]?.text ?? "").trim().split("\n").at(-1) ?? "{}";
      const seen = (JSON.parse(last) as { object: { metadata: { resourceVersion: string } } }).object.metadata;
      const second = await startServer();
      await create("after");
      const again = await ask("GET", `${watch}&resourceVersion=${seen.resourceVersion}&timeoutSeconds=1`);
      const frames = again.text.trim().split("\n");
      expect(frames.map((line) => (JSON.parse(line) as { type: string }).type)).not.toContain("ERROR");
      expect(again.text).toContain('"name":"after"');
      expect(again.text).not.toContain('"name":"before"');
      await second.end();
    },
  );

  it("ends at once when nothing is under way, idle connections or not", async () => {
    const server = await startServer();
    const agent = new https.Agent({ keepAlive: true });
    await new Promise<void>((resolve, reject) => {
      const request = https.get({ host: "127.0.0.1", port, path: "/livez", ca: pki.ca, ...client, agent }, (response) =>
        response.resume().on("end", () => resolve()),
      );
      request.on("error", reject);
    });
    const session = http2.connect(`https://127.0.0.1:${port}`, { ca: pki.ca, ...client });
    await stream(session, "/livez", () => {});
    const closed = new Promise((resolve) => session.on("close", resolve));
    await server.end();
    await closed;
    await expect(ask("GET", "/livez")).rejects.toThrow("ECONNREFUSED");
    agent.destroy();
  });
});

describe("an API server that is treated badly", () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.end());

  it("refuses bodies and headers that are too large", async () => {
    const headers = { "content-type": "application/json" };
    expect((await ask("POST", configMaps, { body: Buffer.alloc((3 << 20) + 1, 32), headers })).status).toBe(413);
    expect((await ask("GET", "/livez", { headers: { "x-long": "x".repeat(1 << 20) } })).status).toBe(431);
    expect((await ask("GET", "/livez")).text).toBe("ok");
  });

  it("outlives a client that opens streams and cancels them (CVE-2023-44487)", async () => {
    const session = http2.connect(`https://127.0.0.1:${port}`, { ca: pki.ca, ...client });
    session.on("error", () => {});
    const closed = new Promise((resolve) => session.on("close", resolve));
    for (let i = 0; i < 4000 && !session.destroyed; i++) {
      const one = session.request({ ":path": configMaps });
      one.on("error", () => {});
      one.close(http2.constants.NGHTTP2_CANCEL);
      if (i % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await ask("GET", "/livez")).text).toBe("ok");
    // Whoever does so loses the connection.
    await closed;
  });

  it("answers in the time that the client gives, and says when that is none", async () => {
    expect((await ask("GET", `${configMaps}?timeout=30s`)).status).toBe(200);
    expect((await ask("GET", `${configMaps}?timeout=30`)).text).toContain('missing unit in duration \\"30\\"');
  });
});
