import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request as send } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  accountKeys,
  createApiServer,
  openPki,
  serveHttps,
  type ApiHandler,
  type ApiRequest,
  type UserInfo,
} from "../../src/apiserver/index.ts";
import { createMemoryStore } from "../../src/store/index.ts";
import { silentLogger, systemClock } from "../../src/system/index.ts";
import type { Answer, Exchange } from "./exchange.ts";

/** A request with all values put in. */
export type Question = Pick<Exchange, "request" | "as" | "headers" | "frames" | "anonymous"> & {
  readonly content?: Buffer;
};

/** A server that is asked. Answers are as they came: bodies of JSON are parsed. */
export interface GoldenServer {
  readonly ask: (question: Question) => Promise<Answer>;
  /** Makes the store forget all versions but the present one. */
  readonly forget: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** A name that managed fields get in every answer. */
const userAgent = "golden/1.0";
/** Milliseconds that frames of a watch are waited for. */
const patience = 5_000;

/** Writes of the past: their versions are those of the store before anything of the cluster is in it. */
const past = 30;

async function startApi(late: boolean): Promise<{
  handler: ApiHandler;
  readonly forget: () => Promise<void>;
  readonly serve: () => Promise<{ port: number; ca: string; cert: string; key: string }>;
  readonly stop: () => Promise<void>;
}> {
  const folder = mkdtempSync(join(tmpdir(), "golden-"));
  const ended = new AbortController();
  const { signal } = ended;
  const store = createMemoryStore();
  const forget = async (): Promise<void> => store.compact((await store.list("/", { limit: 1 })).revision);
  if (late) {
    for (let i = 0; i < past; i++)
      await store.write([], [{ type: "put", key: "/before", value: Buffer.from(String(i)) }]);
    await forget();
  }
  const pki = await openPki(join(folder, "pki"), systemClock);
  const options = { store, clock: systemClock, log: silentLogger, signal, serviceCidrs: ["10.96.0.0/16"] };
  const server = createApiServer({
    ...options,
    // The exchanges are those of an API server alone: what is written by itself would change versions between them.
    keepers: false,
    advertise: { address: "192.0.2.1", port: 6443 },
    kubelet: { open: () => Promise.reject(new Error("no kubelet")) },
    authentication: {
      accountKeys: async () => {
        const { signingKey, publicKeys } = await pki.accountKeys();
        return accountKeys(signingKey, publicKeys);
      },
    },
  });
  await server.ready;
  let served: { stopped: Promise<void> } | undefined;
  return {
    handler: server.handler,
    forget,
    async serve() {
      const own = await pki.server("server", { name: "server", hosts: ["127.0.0.1"] });
      const client = await pki.client("admin", { user: "admin", groups: ["system:masters"] });
      const { port, stopped } = await serveHttps(server.handler, {
        host: "127.0.0.1",
        port: 0,
        ...own,
        clientCa: pki.ca,
        authenticator: server.authenticator,
        signal,
        log: silentLogger,
      });
      served = { stopped };
      return { port, ca: pki.ca, ...client };
    },
    async stop() {
      ended.abort();
      await served?.stopped;
      await server.stopped;
      await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The handler in this process: no TLS, no HTTP, no authentication. */
export async function inProcess(late = false): Promise<GoldenServer> {
  const { handler, forget, stop } = await startApi(late);
  return {
    stop,
    forget,
    async ask({ request, as, headers = {}, frames, content }) {
      const [method = "GET", target = "/"] = request.split(" ");
      const { pathname, searchParams } = new URL(target, "http://api");
      const gone = new AbortController();
      const user: UserInfo = as
        ? { name: as.user, groups: [...(as.groups ?? []), "system:authenticated"] }
        : { name: "admin", groups: ["system:masters", "system:authenticated"] };
      const answer = await handler.handle({
        method: method as ApiRequest["method"],
        path: decodeURIComponent(pathname),
        query: searchParams,
        headers: {
          "user-agent": userAgent,
          ...(content ? { "content-type": "application/json" } : {}),
          ...headers,
        },
        user,
        ...(content ? { body: content } : {}),
        signal: gone.signal,
      });
      const { status } = answer;
      if (answer.type === "watch") {
        const seen: unknown[] = [];
        const timer = setTimeout(() => gone.abort(), patience);
        for await (const frame of answer.frames) {
          seen.push(JSON.parse(Buffer.from(frame.bytes()).toString()));
          if (seen.length === (frames ?? 1)) break;
        }
        clearTimeout(timer);
        gone.abort();
        return { status, headers: answer.headers, body: seen };
      }
      const parts: Uint8Array[] = [];
      if (answer.type === "object" && method !== "HEAD") parts.push(...answer.bytes());
      if (answer.type === "stream") for await (const chunk of answer.chunks) parts.push(chunk);
      return { status, headers: answer.headers, body: parsed(answer.headers, Buffer.concat(parts)) };
    },
  };
}

/** The same server behind its own HTTPS. */
export async function overHttps(late = false): Promise<GoldenServer> {
  const { serve, forget, stop } = await startApi(late);
  const { port, ...identity } = await serve();
  return ask(`https://127.0.0.1:${port}`, identity, { stop, forget });
}

/** Any server, with a bearer token of an administrator. */
export function elsewhere(url: string, token: string): GoldenServer {
  const forget = () => Promise.reject(new Error("the store of another server is not ours to forget"));
  return ask(url, { token }, { stop: () => Promise.resolve(), forget });
}

function ask(
  base: string,
  { token, ca, cert, key }: { token?: string; ca?: string; cert?: string; key?: string },
  { stop, forget }: Pick<GoldenServer, "stop" | "forget">,
): GoldenServer {
  const tls = ca === undefined ? { rejectUnauthorized: false } : { ca };
  const agent = new Agent({ keepAlive: true, ...tls, ...(cert && key ? { cert, key } : {}) });
  const nobody = new Agent({ keepAlive: true, ...tls });
  return {
    forget,
    stop: async () => {
      agent.destroy();
      nobody.destroy();
      await stop();
    },
    ask({ request, as, headers = {}, frames, anonymous, content }) {
      const [method = "GET", target = "/"] = request.split(" ");
      const all: Record<string, string | string[] | number> = {
        "user-agent": userAgent,
        accept: "application/json",
        ...(token && !anonymous ? { authorization: `Bearer ${token}` } : {}),
        ...(as ? { "impersonate-user": as.user, ...(as.groups ? { "impersonate-group": [...as.groups] } : {}) } : {}),
        ...(content ? { "content-type": "application/json", "content-length": content.length } : {}),
        ...headers,
      };
      return new Promise((resolve, reject) => {
        const { hostname, port } = new URL(base);
        const options = { hostname, port, method, path: target, headers: all, agent: anonymous ? nobody : agent };
        const outgoing = send(options, (response) => {
          const { statusCode: status = 0 } = response;
          const given: Record<string, string> = {};
          for (const [name, value] of Object.entries(response.headers))
            if (value !== undefined) given[name] = Array.isArray(value) ? value.join(", ") : value;
          const parts: Buffer[] = [];
          const lines = () => Buffer.concat(parts).toString().split("\n").slice(0, -1);
          const framed = () => ({
            status,
            headers: given,
            body: lines()
              .slice(0, frames)
              .map((line) => JSON.parse(line) as unknown),
          });
          const timer = frames && status === 200 ? setTimeout(() => end(), patience) : undefined;
          const end = (): void => {
            clearTimeout(timer);
            resolve(framed());
            response.destroy();
          };
          response.on("data", (part: Buffer) => {
            parts.push(part);
            if (timer && lines().length >= (frames ?? 1)) end();
          });
          response.on("end", () => {
            clearTimeout(timer);
            const body = Buffer.concat(parts);
            resolve(timer ? framed() : { status, headers: given, body: parsed(given, body) });
          });
        });
        outgoing.on("error", reject);
        outgoing.end(content);
      });
    },
  };
}

function parsed(headers: Readonly<Record<string, string>>, body: Buffer): unknown {
  const text = body.toString();
  return text !== "" && headers["content-type"]?.startsWith("application/json") ? JSON.parse(text) : text;
}
