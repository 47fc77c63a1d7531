import { type ClientRequest, type IncomingMessage, request as openRequest, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { type Answer, answers, sendAnswer, sendHead } from "./answer.ts";
import { openTls } from "./backend-tls.ts";
import { changedFields } from "./changes.ts";
import { hasBody } from "./exchange.ts";
import { responseHeaders } from "./headers.ts";
import { authCookies } from "./external-auth.ts";
import { type Entry, authorized, finishedOf, type ProxyContext, route, type Routed } from "./proxy.ts";
import { asksAgain, timedOut } from "./retry.ts";
import type { Upstream } from "./upstream.ts";

const bodied: Answer = { status: 400, text: "Bad request: a request for another protocol has no body." };

/**
 * Serves a request that wants another protocol on its connection (WebSocket and others, RFC 9110 section 7.8): once
 * the endpoint agrees with 101, bytes go both ways untouched. Any other answer reaches the client as it is.
 */
export function tunnel(
  context: ProxyContext,
  entry: Entry,
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
): void {
  const { upstreams, limits, metrics } = context;
  metrics.requestBegun();
  const written = socket.bytesWritten;
  const begun = performance.now();
  const state: { done: boolean; outgoing?: ClientRequest; code: number; upstream?: Upstream } = {
    done: false,
    code: 499,
  };
  socket.setTimeout(0);
  socket.on("error", () => socket.destroy());
  socket.once("close", () => {
    state.done = true;
    state.outgoing?.destroy();
    const { code, upstream } = state;
    const bytes = socket.bytesWritten - written;
    metrics.requestDone(
      finishedOf(context, entry, request, { ...first, code, bytes, begun, ...(upstream ? { upstream } : {}) }),
    );
  });

  const protocol = request.headers.upgrade ?? "";
  const first = route(context, entry, request);
  if ("status" in first) return refuse(first, first.id);
  socket.once("close", () => first.release.forEach((release) => release()));
  if (hasBody(request)) return refuse(bodied, first.id);
  const asking = new AbortController();
  socket.once("close", () => asking.abort());
  authorized(context, entry, first, asking.signal, (next) => {
    if (state.done) return;
    if ("status" in next) refuse(next, next.id);
    else proceed(next);
  });

  function proceed(routed: Routed): void {
    const headers = [...routed.headers, "connection", "Upgrade", "upgrade", protocol];
    const tried = new Set<Upstream>();
    const tryingSince = performance.now();
    attempt();

    /** There may be another try where no connection came about. */
    function mayRepeat(why: Error): boolean {
      const { retry } = routed;
      if (!retry?.only) return tried.size < limits.tries;
      const failed = { why, method: request.method ?? "GET", sent: false, elapsed: performance.now() - tryingSince };
      return tried.size <= retry.attempts && asksAgain(retry, failed);
    }

    function attempt(failure: Answer = answers.noEndpoints): void {
      if (state.done) return;
      const upstream = upstreams.pick(routed.pool, tried, routed);
      if (upstream === undefined || upstream === "full")
        return refuse(upstream ? answers.overloaded : failure, routed.id);
      tried.add(upstream);
      state.upstream = upstream;
      upstream.inFlight++;
      let connected = false;
      const { address, port, tls } = upstream;
      const secured = (): Duplex =>
        openTls({ ...tls?.(), host: address, port, timeout: limits.connect }, ["http/1.1"], () => {});
      const outgoing = openRequest({
        host: address,
        port,
        ...(tls ? { createConnection: secured } : {}),
        method: request.method ?? "GET",
        path: routed.path,
        headers,
        agent: false,
        maxHeaderSize: limits.headerBytes,
        timeout: limits.connect,
      });
      state.outgoing = outgoing;
      outgoing.once("close", () => upstream.inFlight--);
      outgoing.once("socket", (upstreamSocket) => {
        upstreamSocket.once(tls ? "secureConnect" : "connect", () => {
          connected = true;
          outgoing.setTimeout(routed.timeouts.read ?? limits.responseStart);
        });
      });
      outgoing.once("timeout", () => outgoing.destroy(Object.assign(new Error("timeout"), { code: "ETIMEDOUT" })));
      let failed = false;
      outgoing.on("error", (error) => {
        if (state.done || failed) return;
        failed = true;
        const answer = timedOut(error) ? answers.timeout : answers.unreachable;
        if (connected || !mayRepeat(error)) return refuse(answer, routed.id);
        upstream.avoid();
        metrics.retried();
        attempt(answer);
      });
      outgoing.once("response", (answer) => relay(answer));
      outgoing.once("upgrade", (answer, upstreamSocket, upstreamHead) => {
        state.code = 101;
        upstream.inFlight++;
        upstreamSocket.once("close", () => upstream.inFlight--);
        join(answer, upstreamSocket, upstreamHead);
      });
      outgoing.end();
    }

    function answerHeaders(raw: readonly string[], status: number): string[] {
      const headers = [...responseHeaders(raw), ...authCookies(routed, status)];
      return routed.responseChanges.reduce<string[]>((fields, changes) => changedFields(fields, changes), headers);
    }

    /** The endpoint answers without changing the protocol. */
    function relay(answer: IncomingMessage): void {
      const response = responseOn(request, socket);
      state.code = answer.statusCode ?? 502;
      sendHead(response, state.code, answer.statusMessage, answerHeaders(answer.rawHeaders, state.code));
      answer.pipe(response);
      answer.on("error", () => socket.destroy());
    }

    function join(answer: IncomingMessage, upstreamSocket: Duplex, upstreamHead: Buffer): void {
      const lines = ["HTTP/1.1 101 Switching Protocols"];
      const kept = [...answerHeaders(answer.rawHeaders, 101), "connection", "Upgrade"];
      kept.push("upgrade", answer.headers.upgrade ?? protocol);
      for (let i = 0; i < kept.length; i += 2) lines.push(`${kept[i]}: ${kept[i + 1]}`);
      socket.write(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
      if (upstreamHead.length > 0) socket.write(upstreamHead);
      if (head.length > 0) upstreamSocket.write(head);
      const end = (): void => {
        socket.destroy();
        upstreamSocket.destroy();
      };
      for (const side of [socket, upstreamSocket as Socket]) {
        side.setTimeout(limits.responseIdle, end);
        side.on("error", end).on("close", end);
      }
      socket.pipe(upstreamSocket).pipe(socket);
    }
  }

  function refuse(answer: Answer, id: string): void {
    state.code = answer.status;
    sendAnswer(request, responseOn(request, socket), answer, id);
  }
}

/** A response on a connection that node has already given out of its hands; the connection closes after it. */
function responseOn(request: IncomingMessage, socket: Socket): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.once("finish", () => {
    response.detachSocket(socket);
    socket.end();
  });
  return response;
}
