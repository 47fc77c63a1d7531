import { createHash } from "node:crypto";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import type { Agent } from "undici";
import { EgressError, originOf, type Egress, type EgressTarget } from "./egress.ts";
import { trust } from "../../system/index.ts";
import { egressError } from "./errors.ts";
import type { Endpoint, ResolveService } from "./resolve.ts";

export interface NetworkEgressOptions {
  readonly resolve: ResolveService;
  /** Ends all connections. */
  readonly signal: AbortSignal;
}

/** Targets whose connections are kept. */
const mostPools = 128;
/** Connections at once to one target; further requests wait for one. */
const mostConnections = 64;
/** Milliseconds that a connection stays without a request. */
const idleTime = 30_000;
/** Milliseconds in which a connection, TLS included, has to be made. */
const connectTime = 10_000;

/** Egress over real sockets: one pool of connections a target, HTTP/1.1 over TLS (or plain for an http URL). */
export function createNetworkEgress({ resolve, signal }: NetworkEgressOptions): Egress {
  const pools = new Map<string, Promise<Agent>>();
  let begun = false;
  const socketTo = (target: EgressTarget, done: AbortSignal): Promise<Socket> =>
    makeSocket(target, addressOf(target, resolve), done);

  const poolOf = (target: EgressTarget): Promise<Agent> => {
    const key = keyOf(target);
    const known = pools.get(key);
    if (known) {
      // The one that was used last goes to the end: the first is the one to drop.
      pools.delete(key);
      pools.set(key, known);
      return known;
    }
    if (!begun) signal.addEventListener("abort", () => void close(), { once: true });
    begun = true;
    const made = makeAgent((done) => socketTo(target, done));
    pools.set(key, made);
    if (pools.size > mostPools) {
      const [oldest] = pools;
      if (oldest) {
        pools.delete(oldest[0]);
        void oldest[1].then((agent) => agent.close());
      }
    }
    return made;
  };

  const close = async (): Promise<void> => {
    const all = [...pools.values()];
    pools.clear();
    await Promise.all(all.map(async (agent) => (await agent).destroy()));
  };

  return {
    async open(target, { method, path, headers, body, timeout, signal: gone }) {
      if (signal.aborted) throw new EgressError("CANCELED", "context canceled");
      // The time is for the head alone: a watch goes on for hours.
      const late = new AbortController();
      const timer = setTimeout(() => late.abort(new DOMException("no answer in time", "TimeoutError")), timeout);
      const ended = AbortSignal.any([late.signal, signal, ...(gone ? [gone] : [])]);
      try {
        const agent = await poolOf(target);
        const request = {
          origin: originOf(target),
          method,
          path,
          headers: headers as Record<string, string | string[]>,
          body: body ?? null,
          signal: ended,
          headersTimeout: 0,
          // Not limited: a quiet watch of an aggregated server is no fault.
          bodyTimeout: 0,
        };
        // A kept connection that the other end has closed shows it only now: the request was not seen, so it may go again.
        const answer = await agent.request(request).catch((error: unknown) => {
          if (ended.aborted || !isBroken(error)) throw error;
          return agent.request(request);
        });
        const { body: stream } = answer;
        return {
          status: answer.statusCode,
          headers: answer.headers,
          body: {
            [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator](),
            destroy: () => void stream.on("error", () => {}).destroy(),
          },
        };
      } catch (error) {
        throw egressError(late.signal.aborted ? late.signal.reason : error);
      } finally {
        clearTimeout(timer);
      }
    },

    async dial(target, { timeout, signal: gone }): Promise<Duplex> {
      const ended = AbortSignal.any([AbortSignal.timeout(timeout), signal, ...(gone ? [gone] : [])]);
      try {
        return await socketTo(target, ended);
      } catch (error) {
        throw egressError(error);
      }
    },

    close,
  };
}

function isBroken(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === "UND_ERR_SOCKET" || code === "ECONNRESET" || code === "EPIPE";
}

async function makeAgent(connect: (done: AbortSignal) => Promise<Socket>): Promise<Agent> {
  // Loaded when the first request goes out: many clusters never send one.
  const { Agent: UndiciAgent } = await import("undici");
  return new UndiciAgent({
    connections: mostConnections,
    keepAliveTimeout: idleTime,
    keepAliveMaxTimeout: idleTime,
    pipelining: 1,
    connect: (_options, callback) => {
      connect(AbortSignal.timeout(connectTime)).then(
        (socket) => callback(null, socket),
        (error: unknown) => callback(egressError(error), null),
      );
    },
  });
}

function addressOf({ to }: EgressTarget, resolve: ResolveService): Endpoint {
  if (!(to instanceof URL)) return resolve(to);
  const host = to.hostname.replace(/^\[|\]$/g, "");
  return { host, port: Number(to.port) || (to.protocol === "http:" ? 80 : 443) };
}

/** Opens a connection, with TLS where the target has it. */
function makeSocket(target: EgressTarget, { host, port }: Endpoint, done: AbortSignal): Promise<Socket> {
  const { to, ca, insecure = false, client } = target;
  const plain = to instanceof URL && to.protocol === "http:";
  const name = target.serverName ?? (to instanceof URL ? host : `${to.name}.${to.namespace}.svc`);
  return new Promise((resolve, reject) => {
    const socket = plain
      ? connectTcp({ host, port, noDelay: true })
      : connectTls({
          host,
          port,
          // RFC 6066 knows no addresses here; the certificate is checked against `host` then.
          ...(isIP(name) ? {} : { servername: name }),
          ...trust(ca),
          ...client,
          rejectUnauthorized: !insecure,
          ALPNProtocols: ["http/1.1"],
          minVersion: "TLSv1.2",
        });
    const abort = (): void => void socket.destroy(done.reason as Error);
    const settle = (): void => {
      done.removeEventListener("abort", abort);
      socket.removeListener("error", fail);
    };
    const fail = (error: Error): void => {
      settle();
      // Whoever waits has gone: nothing may be thrown any more.
      socket.on("error", () => {});
      reject(error);
    };
    socket.once("error", fail);
    socket.once(plain ? "connect" : "secureConnect", () => {
      settle();
      resolve(socket);
    });
    if (done.aborted) abort();
    else done.addEventListener("abort", abort, { once: true });
  });
}

function keyOf(target: EgressTarget): string {
  const { ca = "", insecure = false, serverName = "", client } = target;
  const trust = createHash("sha256")
    .update(`${ca}\n${client?.cert ?? ""}`)
    .digest("base64");
  return `${originOf(target)} ${serverName} ${insecure} ${trust}`;
}
