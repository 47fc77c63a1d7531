import type { Socket } from "node:net";
import { matchOn } from "../../../routing/index.ts";
import { type Answer, answerMessage, answers } from "../answer.ts";
import { changedAnswer } from "../changes.ts";
import { hasField, responseHeaders } from "../headers.ts";
import {
  decideFor,
  type EarlierAttempt,
  endpointOf,
  type Entry,
  type ProxyContext,
  requestIdOf,
  type Routed,
  serverNameOf,
  tracedBy,
} from "../proxy.ts";
import { isIdempotent } from "../retry.ts";
import type { Upstream } from "../upstream.ts";
import type { Exchange, ExchangeFailure, Receiver } from "./endpoint-connections.ts";
import { isPlainRule } from "./plain-rule.ts";
import { type PlainRequest, readPlainRequest } from "./request-head.ts";
import type { ResponseHead } from "./response-head.ts";
import { writeLastChunk, writeRequestHead, writeResponseHead } from "./write-head.ts";

export interface FastPathOptions {
  /** Whoever serves all forms of HTTP/1.1 takes the connection; what was read of it is there to be read again. */
  readonly handOver: (socket: Socket, earlier: EarlierAttempt | undefined) => void;
  /** The listener drains: connections are handed over with their next request, whose answer is the last. */
  readonly isDraining: () => boolean;
}

/**
 * Serves the requests that are most of all: whole, plain, one at a time, by rules that need nobody's leave, to endpoints of
 * HTTP/1.1 in clear. The first request of a connection that is anything else, or whose attempt fails, takes its connection to the server
 * that knows all forms, unread: nothing is refused or repaired here.
 */
export interface FastPath {
  accept(socket: Socket): void;
  /** Closes connections that have no request under way. */
  closeIdle(): void;
}

/** A client's connection, as whoever looks at the time sees it. */
interface Connection {
  /** When it has waited too long, in milliseconds; 0: it waits for nothing. */
  deadline: number;
  isIdle: boolean;
  late(): void;
  close(): void;
}

/** Bytes of a header section; more comes in more than one read. */
const mostRead = 16 << 10;

export function createFastPath(context: ProxyContext, entry: Entry, options: FastPathOptions): FastPath {
  const { limits, clock, metrics, upstreams } = context;
  const longest = Math.min(limits.headerBytes, mostRead);
  const connections = new Set<Connection>();
  const waits = [limits.clientHeaders, limits.clientKeepAlive, limits.responseStart, limits.clientIdle];
  const every = Math.max(20, Math.min(1_000, ...waits.map((wait) => wait / 4)));
  let timer: NodeJS.Timeout | undefined;

  function watch(): void {
    const now = clock.now();
    for (const connection of connections)
      if (connection.deadline !== 0 && connection.deadline <= now) connection.late();
    if (connections.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  }

  /** 0 milliseconds: never. */
  const deadlineIn = (ms: number): number => (ms === 0 ? 0 : clock.now() + ms);

  function accept(socket: Socket): void {
    let exchange: Exchange | undefined;
    let routed: Routed | undefined;
    let upstream: Upstream | undefined;
    let original: Buffer | undefined;
    let asked: PlainRequest | undefined;
    let begun = 0;
    let sent = 0;
    /** Came while an answer was under way. */
    let early: Buffer | undefined;
    let headWritten = false;
    let head: ResponseHead | undefined;
    let pieces: Buffer[] = [];
    let size = 0;

    const connection: Connection = {
      deadline: clock.now() + limits.clientHeaders,
      isIdle: true,
      late() {
        // Who waits for the answer's beginning is told; anything else just ends.
        if (exchange && !headWritten) timeout();
        else socket.destroy();
      },
      close: () => void socket.destroy(),
    };
    connections.add(connection);
    timer ??= setInterval(watch, every).unref();
    socket.on("data", onData).on("end", onEnd).on("close", onClose).on("drain", onDrain).on("timeout", onStandstill);

    function leave(): void {
      connections.delete(connection);
      socket
        .off("data", onData)
        .off("end", onEnd)
        .off("close", onClose)
        .off("drain", onDrain)
        .off("timeout", onStandstill);
    }

    function handOver(bytes: Buffer, earlier?: EarlierAttempt): void {
      leave();
      socket.pause();
      socket.unshift(bytes);
      options.handOver(socket, earlier);
      socket.resume();
    }

    function onData(chunk: Buffer): void {
      if (exchange) {
        early = early ? Buffer.concat([early, chunk]) : chunk;
        socket.pause();
      } else if (!begin(chunk)) handOver(chunk);
    }

    /** False when the request is not for here; nothing has happened then. */
    function begin(chunk: Buffer): boolean {
      const request = options.isDraining() ? undefined : readPlainRequest(chunk.toString("latin1"), longest);
      if (!request) return false;
      const { method, host, path, query, fields, rawHeaders, body } = request;
      const listener = entry.listener();
      const header = (name: string): string | undefined => fields.get(name);
      const serverName = listener.protocol === "HTTP" ? undefined : serverNameOf(socket);
      const found = matchOn(listener, { host, path, query, method, header, serverName });
      if (found.outcome !== "route" || !isPlainRule(found.route.rule, limits.connect)) return false;
      const id = requestIdOf(fields.get("x-request-id"));
      const decided = decideFor(
        context,
        listener,
        { id, host, query, method, header, rawHeaders, length: body.length, socket },
        found,
      );
      if ("status" in decided || body.length > Math.min(limits.bodyBytes, decided.bodyBytes)) return false;
      const picked = upstreams.pick(decided.pool, none, decided);
      const plain = typeof picked === "object" ? picked.plain?.() : undefined;
      const text = plain && writeRequestHead(method, decided.path, decided.headers);
      if (!plain || text === undefined || typeof picked !== "object") return false;
      metrics.requestBegun();
      picked.inFlight++;
      [upstream, routed, original, asked, headWritten] = [picked, decided, chunk, request, false];
      sent = 0;
      begun = performance.now();
      connection.isIdle = false;
      connection.deadline = deadlineIn(decided.timeouts.read ?? limits.responseStart);
      exchange = plain.send(text + body, method, receiver);
      return true;
    }

    const receiver: Receiver = {
      begin: (found) => void (head = found),
      data(bytes, start, end) {
        // It is read over soon.
        pieces.push(Buffer.from(bytes.subarray(start, end)));
        size += end - start;
        sent += end - start;
      },
      flush(trailers) {
        if (!head) return true;
        const status = head.status;
        const taken = write(head, trailers);
        if (taken === undefined) {
          // What cannot be written as it is has to be an answer of the server that knows all forms.
          exchange?.abort();
          failed("malformed");
          return true;
        }
        if (trailers) done(status);
        else if (taken) connection.deadline = deadlineIn(routed?.timeouts.read ?? limits.responseIdle);
        else waitForClient();
        return taken;
      },
      failed,
    };

    /** Writes what there is. False: enough for now; `undefined`: the header section cannot be written. */
    function write(
      { body, status, reason, fields }: ResponseHead,
      trailers: readonly string[] | undefined,
    ): boolean | undefined {
      const chunked = body === "chunked" || body === "close";
      let before = "";
      if (!headWritten) {
        const text = writeResponseHead(status, reason, answerFields(fields), chunked);
        if (text === undefined) return undefined;
        before = text;
        headWritten = true;
        original = undefined;
      }
      let after = "";
      if (chunked) {
        if (size > 0) {
          before += `${size.toString(16)}\r\n`;
          after = "\r\n";
        }
        if (trailers) after += writeLastChunk(body === "close" ? [] : responseHeaders(trailers));
      }
      const total = before.length + size + after.length;
      if (total === 0) return true;
      const out = Buffer.allocUnsafe(total);
      let at = out.write(before, 0, "latin1");
      for (const piece of pieces) at += piece.copy(out, at);
      out.write(after, at, "latin1");
      pieces = [];
      size = 0;
      return socket.write(out);
    }

    function answerFields(raw: string[]): string[] {
      const fields = responseHeaders(raw);
      if (!hasField(fields, "server")) fields.push("server", "fairlead");
      if (!hasField(fields, "date")) fields.push("date", dateOf(clock.now()));
      return routed ? changedAnswer(fields, routed) : fields;
    }

    function settle(code: number): void {
      if (asked && routed && upstream) {
        const { method, host, path, query, fields } = asked;
        const pool = upstreams.poolOf(routed.pool);
        metrics.requestDone({
          id: routed.id,
          method,
          host,
          target: path + query,
          protocol: "HTTP/1.1",
          client: routed.client,
          header: (name) => fields.get(name),
          route: routed.route,
          ...(pool ? { pool } : {}),
          endpoint: endpointOf(upstream),
          code,
          bytes: sent,
          milliseconds: performance.now() - begun,
          ...(routed.trace ? { trace: tracedBy(routed.trace, entry, clock) } : {}),
        });
      }
      forget();
    }

    function forget(): void {
      if (upstream) upstream.inFlight--;
      exchange = head = routed = original = asked = upstream = undefined;
      pieces = [];
      size = 0;
    }

    /** The answer has gone out. */
    function done(code: number): void {
      settle(code);
      connection.isIdle = true;
      if (socket.writableLength > 0) waitForClient();
      else connection.deadline = clock.now() + limits.clientKeepAlive;
      const next = early;
      early = undefined;
      // While the listener drains, the next request is answered with the word that it is the last: to end now would meet one that is on its way.
      if (next) handOver(next);
    }

    function failed(why: ExchangeFailure): void {
      const again = original;
      const tried = upstream;
      if (headWritten || !again) {
        settle(head?.status ?? 502);
        socket.destroy();
        return;
      }
      const isUnconnected = why === "unconnected";
      // It may have been acted on.
      if (!isUnconnected && !isIdempotent(asked?.method ?? "")) return instead(answers.unreachable, "Bad Gateway");
      if (isUnconnected) tried?.avoid();
      forget();
      metrics.requestLeft();
      metrics.retried();
      handOver(early ? Buffer.concat([again, early]) : again, tried && isUnconnected ? { upstream: tried } : {});
    }

    /** The endpoint has not begun to answer in time: nobody else is asked. */
    function timeout(): void {
      exchange?.abort();
      instead(answers.timeout, "Gateway Timeout");
    }

    /** An answer of our own, the last on its connection. */
    function instead(answer: Answer, reason: string): void {
      const { fields, body: page = "" } = answerMessage(answer, routed?.id ?? "");
      const body = asked?.method === "HEAD" ? "" : page;
      const text = writeResponseHead(answer.status, reason, [...fields, "connection", "close"], false);
      headWritten = true;
      sent = body.length;
      settle(answer.status);
      socket.end(`${text ?? ""}${body}`, "latin1");
      connection.deadline = clock.now() + limits.linger;
    }

    /** A client that says it has nothing more to say waits for no answer, to servers of HTTP/1.1. */
    function onEnd(): void {
      abandon();
      socket.end();
    }

    /** The client takes what it has been sent, or loses its connection: some progress is enough. */
    function waitForClient(): void {
      connection.deadline = 0;
      socket.setTimeout(limits.clientIdle);
    }

    function onDrain(): void {
      socket.setTimeout(0);
      connection.deadline = deadlineIn(
        exchange ? (routed?.timeouts.read ?? limits.responseIdle) : limits.clientKeepAlive,
      );
      exchange?.resume();
    }

    function onStandstill(): void {
      socket.destroy();
    }

    function onClose(): void {
      leave();
      abandon();
    }

    function abandon(): void {
      if (!exchange) return;
      exchange.abort();
      settle(headWritten ? (head?.status ?? 499) : 499);
    }
  }

  return {
    accept,
    closeIdle() {
      for (const connection of connections) if (connection.isIdle) connection.close();
    },
  };
}

const none: ReadonlySet<Upstream> = new Set();

let second = 0;
let text = "";

/** Of a `Date` field; made once a second. */
function dateOf(now: number): string {
  const at = Math.floor(now / 1000);
  if (at !== second) [second, text] = [at, new Date(at * 1000).toUTCString()];
  return text;
}
