import { randomUUID } from "node:crypto";
import { ServerResponse } from "node:http";
import type { Writable } from "node:stream";
import type { Dispatcher } from "undici";
import { type Listener, matchOn, type Pool } from "../../routing/index.ts";
import { type Answer, answers, sendAnswer, sendHead } from "./answer.ts";
import { requestBody } from "./body.ts";
import { cutOff, hasBody, lingerFor, type Incoming, type Outgoing, readTarget, watchIdle } from "./exchange.ts";
import { forwardedFor, type TrustedForwarders } from "./forwarded.ts";
import { headerObject, requestHeaders, responseHeaders } from "./headers.ts";
import type { Limits } from "./limits.ts";
import type { RequestCounts } from "./metrics.ts";
import { mayRetry, timedOut } from "./retry.ts";
import type { Upstream, Upstreams } from "./upstream.ts";

/** What all requests share. */
export interface ProxyContext {
  readonly upstreams: Upstreams;
  readonly pools: () => ReadonlyMap<string, Pool>;
  readonly limits: Limits;
  readonly trusted: TrustedForwarders;
  readonly metrics: RequestCounts;
}

/** What the client's connection tells. */
export interface Entry {
  /** The model's listener as it is now. */
  readonly listener: () => Listener;
}

/** A request that has a destination. */
export interface Routed {
  readonly id: string;
  readonly pool: Pool;
  /** Canonical path with the query. */
  readonly path: string;
  readonly headers: string[];
}

const requestIdPattern = /^[\w.:=/+-]{1,128}$/;

/** Finds where a request goes and what its backend is told; or the answer it gets right away. */
export function route(context: ProxyContext, entry: Entry, request: Incoming): Routed | (Answer & { id: string }) {
  const given = request.headers["x-request-id"];
  const id = typeof given === "string" && requestIdPattern.test(given) ? given : randomUUID();
  const target = readTarget(request);
  if ("refused" in target) return { id, status: 400, text: `Bad request: ${target.refused}.` };
  if (request.method === "TRACE" || request.method === "CONNECT")
    return { id, status: 405, text: "This method is not allowed here." };
  const listener = entry.listener();
  const found = matchOn(listener, context.pools(), target.host, target.path);
  if (found.outcome === "refused") return { id, status: 400, text: `Bad request: ${found.why}.` };
  if (found.outcome === "unmatched") return { id, ...answers.unmatched };
  if (Number(request.headers["content-length"] ?? 0) > context.limits.bodyBytes) return { id, ...answers.bodyTooLarge };
  const client = forwardedFor(
    {
      peer: request.socket.remoteAddress ?? "",
      protocol: listener.protocol === "HTTPS" ? "https" : "http",
      host: target.host,
      port: request.socket.localPort ?? listener.port,
      header: (name) => {
        const value = request.headers[name];
        return typeof value === "string" ? value : undefined;
      },
    },
    context.trusted,
  );
  const headers = requestHeaders(request.rawHeaders, target.host, client, id);
  return { id, pool: found.pool, path: found.path + target.query, headers };
}

/** Serves one request: routes it, sends it to an endpoint, and streams the answer back. */
export function serve(
  context: ProxyContext,
  entry: Entry,
  request: Incoming,
  response: Outgoing,
  onFirstRead: () => void = () => {},
): void {
  const { upstreams, limits, metrics } = context;
  const sink: Writable = response;
  metrics.requestBegun();
  // A client that goes in the middle of an answer is no fault; "close" tells of it.
  response.on("error", () => {});
  let controller: Dispatcher.DispatchController | undefined;
  let gone = false;
  response.once("close", () => {
    gone = !response.writableFinished;
    metrics.requestDone(gone && !response.headersSent ? 499 : response.statusCode);
    if (gone) controller?.abort(new Error("the client went away"));
  });

  const routed = route(context, entry, request);
  if ("status" in routed) return sendAnswer(request, response, routed, routed.id);
  const method = request.method ?? "GET";
  const body = hasBody(request) ? requestBody(request, { ...limits, onFirstRead }) : undefined;
  const tried = new Set<Upstream>();
  let attempts = 0;
  attempt();

  function attempt(failure: Answer = answers.noEndpoints): void {
    if (gone || "status" in routed) return;
    const upstream = upstreams.pick(routed.pool.key, tried);
    if (upstream === undefined || upstream === "full")
      return sendAnswer(request, response, upstream ? answers.overloaded : failure, routed.id);
    tried.add(upstream);
    attempts++;
    upstream.inFlight++;
    controller = undefined;
    upstream
      .connections()
      .dispatch(
        { method, path: routed.path, headers: routed.headers, body: body?.open() ?? null },
        relay(upstream, routed.id),
      );
  }

  /** Takes one endpoint's answer to the client. */
  function relay(upstream: Upstream, id: string): Dispatcher.DispatchHandler {
    return {
      onRequestStart(started) {
        controller = started;
        if (gone) started.abort(new Error("the client went away"));
      },
      onResponseStart(current, status, _headers, statusMessage) {
        if (status < 200) return;
        const headers = responseHeaders(current.rawHeaders as Buffer[]);
        sendHead(response, status, statusMessage, headers);
        // What has come with the header section goes out with it; a header section alone must not wait for a body.
        process.nextTick(flushHead);
      },
      onResponseData(current, chunk) {
        if (sink.write(chunk)) return;
        current.pause();
        watchIdle(request, true, limits.clientIdle);
        response.once("drain", () => {
          watchIdle(request, false, limits.clientIdle);
          current.resume();
        });
      },
      onResponseEnd(current) {
        upstream.inFlight--;
        // A list from HTTP/1.1, an object from HTTP/2.
        const raw = current.rawTrailers as Buffer[] | Record<string, string> | null | undefined;
        const trailers = Array.isArray(raw) ? headerObject(responseHeaders(raw)) : { ...raw };
        if (Object.keys(trailers).length > 0) (response as ServerResponse).addTrailers(trailers);
        response.end();
        if (body && !request.complete) lingerFor(request, response, limits.linger);
      },
      onResponseError(_current, error) {
        upstream.inFlight--;
        failed(upstream, error, id);
      },
    };
  }

  function flushHead(): void {
    if (!response.writableEnded && !response.destroyed && response instanceof ServerResponse) response.flushHeaders();
  }

  function failed(upstream: Upstream, error: Error, id: string): void {
    if (gone) return;
    if (response.headersSent) return cutOff(response);
    if (body?.tooLarge) return sendAnswer(request, response, answers.bodyTooLarge, id);
    const sent = controller !== undefined;
    if (!sent) upstream.avoid();
    const answer = timedOut(error) ? answers.timeout : answers.unreachable;
    if (attempts < limits.tries && !body?.touched && mayRetry(error, method, sent)) {
      metrics.retried();
      // It was an old connection that failed and not the endpoint.
      if (sent) tried.delete(upstream);
      return attempt(answer);
    }
    sendAnswer(request, response, answer, id);
  }
}
