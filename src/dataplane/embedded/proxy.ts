import { randomUUID } from "node:crypto";
import { ServerResponse } from "node:http";
import type { Writable } from "node:stream";
import type { Dispatcher } from "undici";
import { canarySuffix, heldBodyBytes, type Listener, type Match, matchOn, type Route } from "../../routing/index.ts";
import { type Answer, answers, sendAnswer, sendHead } from "./answer.ts";
import { readWhole, requestBody } from "./body.ts";
import type { Clock } from "../../system/index.ts";
import { certificateOf } from "./client-certificate.ts";
import { changedAnswer, changedFields } from "./changes.ts";
import { decide, type Decision } from "./decision.ts";
import {
  cutOff,
  endAnswer,
  hasBody,
  lingerFor,
  type Incoming,
  type Outgoing,
  readTarget,
  watchIdle,
} from "./exchange.ts";
import { fetchErrorPage } from "./error-page.ts";
import { askAuthorization, authCookies } from "./external-auth.ts";
import { forwardedFor, type TrustedForwarders } from "./forwarded.ts";
import { hasField, headerObject, requestHeaders, responseHeaders } from "./headers.ts";
import type { Guards } from "./guards.ts";
import type { Limits } from "./limits.ts";
import { bytesNow, waitFor } from "./answer-pace.ts";
import { type Mirror, openMirror } from "./mirror.ts";
import type { Finished } from "../finished.ts";
import type { Traced } from "../tracing/span.ts";
import type { TraceContext, Tracer } from "../tracing/trace-context.ts";
import type { RequestCounts } from "./metrics.ts";
import { affinityField } from "./policies.ts";
import { asksAgain, isIdempotent, mayRetry, timedOut } from "./retry.ts";
import type { Upstream, Upstreams } from "./upstream.ts";

/** What all requests share. */
export interface ProxyContext {
  readonly upstreams: Upstreams;
  readonly limits: Limits;
  readonly trusted: TrustedForwarders;
  readonly metrics: RequestCounts;
  readonly guards: Guards;
  readonly clock: Clock;
  /** Absent: requests are not traced. */
  readonly tracer?: Tracer;
}

/** What the client's connection tells. */
export interface Entry {
  /** The model's listener as it is now. */
  readonly listener: () => Listener;
}

/** An attempt that was made before, by whoever served the connection then. */
export interface EarlierAttempt {
  /** Is not to be tried again; absent when it was an old connection that failed and not the endpoint. */
  readonly upstream?: Upstream;
}

/** A request that has a destination. */
export interface Routed extends Decision {
  readonly id: string;
  readonly route: Route;
  /** What whoever let it in gives the client. */
  readonly cookies?: readonly string[];
  readonly trace?: TraceContext;
}

/** A request that is answered right away; with its route, when that is what answers. */
export interface Refused extends Answer {
  readonly id: string;
  readonly route?: Route;
  readonly trace?: TraceContext;
}

const requestIdPattern = /^[\w.:=/+-]{1,128}$/;

/** What a request is called in headers and error pages: as whoever sent it says, when that is harmless. */
export function requestIdOf(given: string | readonly string[] | undefined): string {
  return typeof given === "string" && requestIdPattern.test(given) ? given : randomUUID();
}

/** A request, whatever read it. */
export interface Asked {
  readonly id: string;
  readonly host: string;
  /** With its question mark, or "". */
  readonly query: string;
  readonly method: string;
  /** By name in lower case. */
  readonly header: (name: string) => string | undefined;
  /** Name, value, name, value. */
  readonly rawHeaders: readonly string[];
  /** Bytes of its body, as it says. */
  readonly length: number;
  readonly socket: Incoming["socket"];
}

/** Finds where a request goes and what its backend is told; or the answer it gets right away. */
export function route(context: ProxyContext, entry: Entry, request: Incoming): Routed | Refused {
  const id = requestIdOf(request.headers["x-request-id"]);
  const target = readTarget(request);
  if ("refused" in target) return { id, status: 400, text: `Bad request: ${target.refused}.` };
  if (request.method === "TRACE" || request.method === "CONNECT")
    return { id, status: 405, text: "This method is not allowed here." };
  const listener = entry.listener();
  const header = (name: string): string | undefined => {
    const value = request.headers[name];
    return typeof value === "string" ? value : value?.join(", ");
  };
  const method = request.method ?? "GET";
  const { host, path, query } = target;
  const { socket, rawHeaders } = request;
  const serverName = listener.protocol === "HTTP" ? undefined : serverNameOf(socket);
  const found = matchOn(listener, { host, path, query, method, header, serverName });
  if (found.outcome === "refused") return { id, status: 400, text: `Bad request: ${found.why}.` };
  if (found.outcome === "misdirected") return { id, ...answers.misdirected };
  if (found.outcome === "unmatched") return { id, ...answers.unmatched };
  const length = Number(request.headers["content-length"] ?? 0);
  if (length > context.limits.bodyBytes) return { id, ...answers.bodyTooLarge };
  return decideFor(context, listener, { id, host, query, method, header, rawHeaders, length, socket }, found);
}

/** What a request's route makes of it. */
export function decideFor(
  { guards, trusted, tracer }: ProxyContext,
  listener: Listener,
  asked: Asked,
  found: Extract<Match, { outcome: "route" }>,
): Routed | Refused {
  const { id, host, query, method, header, rawHeaders, length, socket } = asked;
  const scheme = listener.protocol === "HTTP" ? "http" : "https";
  const client = forwardedFor(
    {
      peer: socket.remoteAddress ?? "",
      protocol: scheme,
      host,
      port: listener.bindPort === undefined ? (socket.localPort ?? listener.port) : listener.port,
      header,
    },
    trusted,
  );
  const trace = tracer && placeOf(tracer, found.route, header("traceparent"));
  const decided = decide(found, {
    method,
    scheme,
    host,
    client: client.realIp,
    clientScheme: client.proto === "https" ? "https" : client.proto === "http" ? "http" : scheme,
    id,
    length,
    guards,
    certificate: () => certificateOf(socket),
    port: listener.port,
    query,
    header,
    headers: requestHeaders(rawHeaders, host, client, id, trace),
  });
  return { id, route: found.route, ...(trace ? { trace } : {}), ...decided };
}

/** Asks whoever must be asked whether a request may pass, and calls `proceed` with what becomes of it. */
export function authorized(
  context: ProxyContext,
  entry: Entry,
  routed: Routed,
  signal: AbortSignal,
  proceed: (routed: Routed | Refused) => void,
): void {
  const { authorize, checking, facts, headers, id, route: by, trace } = routed;
  const refused = { id, route: by, ...(trace ? { trace } : {}) };
  if (checking) {
    const { checking: _done, ...next } = routed;
    void checking.then((answer) =>
      answer ? proceed({ ...refused, ...answer }) : authorized(context, entry, next, signal, proceed),
    );
    return;
  }
  if (!authorize) return proceed(routed);
  const { upstreams, guards } = context;
  void askAuthorization(authorize, {
    upstreams,
    answers: guards.answers,
    listener: entry.listener(),
    facts,
    headers,
    signal,
  }).then((answer) =>
    proceed(
      "status" in answer
        ? { ...refused, ...answer }
        : { ...routed, headers: changedFields(headers, answer.changes), cookies: answer.cookies },
    ),
  );
}

/** Server name (SNI) of a connection; "" when its client named none. */
export function serverNameOf(socket: object): string {
  const { servername } = socket as { servername?: string | false };
  return typeof servername === "string" ? servername : "";
}

/** How a request ended, as far as it is known. */
interface Ending {
  readonly id: string;
  readonly route?: Route;
  readonly trace?: TraceContext;
  readonly pool?: string;
  readonly client?: string;
  readonly upstream?: Upstream;
  readonly code: number;
  readonly bytes: number;
  /** Of `performance.now()`. */
  readonly begun: number;
}

/** What there is to say about a request that has ended. */
export function finishedOf(
  { upstreams, tracer, clock }: ProxyContext,
  entry: Entry,
  request: Incoming,
  ending: Ending,
): Finished {
  const { headers, socket } = request;
  const { id, route: by, upstream, code, bytes } = ending;
  const pool = ending.pool === undefined ? undefined : upstreams.poolOf(ending.pool);
  const authority = "authority" in request ? request.authority : undefined;
  const header = (name: string): string | undefined => {
    const value = headers[name];
    return typeof value === "string" ? value : value?.join(", ");
  };
  // One that was refused before it had a route is in a trace all the same.
  const trace = by ? ending.trace : tracer?.begin(header("traceparent"));
  return {
    id,
    method: request.method ?? "",
    host: authority ?? headers.host ?? "",
    target: request.url ?? "",
    protocol: `HTTP/${request.httpVersion}`,
    client: ending.client ?? socket?.remoteAddress ?? "",
    header,
    ...(by ? { route: by } : {}),
    ...(pool ? { pool } : {}),
    ...(upstream ? { endpoint: endpointOf(upstream) } : {}),
    code,
    bytes,
    milliseconds: performance.now() - ending.begun,
    ...(trace ? { trace: tracedBy(trace, entry, clock) } : {}),
  };
}

/** Where a request is in which trace, as far as its route lets it be in one. */
function placeOf(tracer: Tracer, { rule }: Route, traceparent: string | undefined): TraceContext | undefined {
  const wish = rule.filters.find((filter) => filter.type === "Tracing");
  return wish?.on === false ? undefined : tracer.begin(wish?.trust === false ? undefined : traceparent);
}

/** What is known of a trace when its request is done. */
export const tracedBy = (trace: TraceContext, { listener }: Entry, clock: Clock): Traced => ({
  ...trace,
  scheme: listener().protocol === "HTTP" ? "http" : "https",
  ended: clock.now(),
});

/** Address and port, as people write them. */
export const endpointOf = ({ address, port }: Upstream): string =>
  `${address.includes(":") ? `[${address}]` : address}:${port}`;

/** Serves one request: routes it, sends it to an endpoint, and streams the answer back. */
export function serve(
  context: ProxyContext,
  entry: Entry,
  request: Incoming,
  response: Outgoing,
  onFirstRead: () => void = () => {},
  earlier?: EarlierAttempt,
): void {
  const { upstreams, limits, metrics } = context;
  const sink: Writable = response;
  metrics.requestBegun();
  const begun = performance.now();
  let bytes = 0;
  /** What is known of where it goes. */
  let to: Partial<Pick<Ending, "route" | "pool" | "client" | "trace">> = {};
  let last: Upstream | undefined;
  // A client that goes in the middle of an answer is no fault; "close" tells of it.
  response.on("error", () => {});
  let controller: Dispatcher.DispatchController | undefined;
  let gone = false;
  let late = false;
  const timers = new Set<NodeJS.Timeout>();
  const asking = new AbortController();
  const mirrors: Mirror[] = [];
  let release: readonly (() => void)[] = [];
  response.once("close", () => {
    gone = !response.writableFinished;
    for (const each of release) each();
    metrics.requestDone(
      finishedOf(context, entry, request, {
        id: first.id,
        ...to,
        ...(last ? { upstream: last } : {}),
        code: gone && !response.headersSent ? 499 : response.statusCode,
        bytes,
        begun,
      }),
    );
    for (const timer of timers) clearTimeout(timer);
    if (gone) {
      controller?.abort(new Error("the client went away"));
      asking.abort();
      for (const mirror of mirrors) mirror.abort();
    }
  });

  const refuse = (answer: Answer, id: string): void => {
    bytes += sendAnswer(request, response, answer, id);
  };
  const first = route(context, entry, request);
  to = first;
  if ("status" in first) return refuse(first, first.id);
  ({ release } = first);
  // Nearly all requests need no leave: they go on in the same turn.
  if (first.authorize || first.checking)
    return authorized(context, entry, first, asking.signal, (next) => {
      if (response.destroyed) return;
      if ("status" in next) refuse(next, next.id);
      else proceed(next);
    });
  proceed(first);

  function proceed(routed: Routed): void {
    const { timeouts, retry, stays } = routed;
    /** What the client is told of where it stays. */
    let cookie: string | undefined;
    let { pool, headers } = routed;
    const method = request.method ?? "GET";
    const withBody = hasBody(request);
    const body = withBody
      ? requestBody(request, {
          ...limits,
          bodyBytes: Math.min(limits.bodyBytes, routed.bodyBytes),
          onFirstRead,
          ...(routed.mirrors.length > 0
            ? {
                onChunk: (chunk) => mirrors.forEach((mirror) => mirror.chunk(chunk)),
                onEnd: () => mirrors.forEach((mirror) => mirror.end()),
              }
            : {}),
        })
      : undefined;
    for (const copy of routed.mirrors) {
      const mirror = openMirror(upstreams, copy.pool, { ...copy, method, withBody: withBody && copy.withBody });
      if (mirror) mirrors.push(mirror);
    }
    if (timeouts.request) after(timeouts.request, () => giveUp());
    /** When the first of an answer was sent that is held to a rate. */
    let paced: number | undefined;
    const tried = new Set<Upstream>(earlier?.upstream ? [earlier.upstream] : []);
    let attempts = earlier ? 1 : 0;
    /** A body that can be sent again. */
    let held: Buffer | undefined;
    const tryingSince = performance.now();
    const mayHold = retry?.only && retry.attempts > 0 && Number(request.headers["content-length"]) <= heldBodyBytes;
    if (body && mayHold)
      readWhole(body.open(), (whole) => {
        held = whole;
        if (whole) attempt(earlier && answers.unreachable);
        else if (!gone && body.tooLarge) refuse(answers.bodyTooLarge, routed.id);
      });
    else attempt(earlier && answers.unreachable);

    function after(ms: number, act: () => void): NodeJS.Timeout {
      const timer = setTimeout(() => {
        timers.delete(timer);
        act();
      }, ms);
      timers.add(timer);
      return timer;
    }

    function done(timer: NodeJS.Timeout | undefined): void {
      if (!timer) return;
      clearTimeout(timer);
      timers.delete(timer);
    }

    /** The whole request has taken too long. */
    function giveUp(): void {
      if (gone || response.writableEnded) return;
      late = true;
      controller?.abort(tooLate());
      if (response.headersSent) cutOff(response);
      else refuse(answers.timeout, routed.id);
    }

    function attempt(failure: Answer = answers.noEndpoints): void {
      if (gone || late) return;
      let upstream = upstreams.pick(pool, tried, routed);
      if (upstream === undefined && attempts === 0 && routed.fallbackPool !== undefined) {
        pool = routed.fallbackPool;
        if (routed.fallbackChanges) headers = changedFields(headers, routed.fallbackChanges);
        upstream = upstreams.pick(pool, tried);
      }
      // With a policy of its own it is not another endpoint that is asked for, but another try.
      if (upstream === undefined && retry && attempts > 0) upstream = upstreams.pick(pool, new Set());
      if (upstream === undefined || upstream === "full") return answerWith(upstream ? answers.overloaded : failure);
      cookie =
        stays && pool === routed.pool ? (stays.key ?? upstream.id) + (stays.canary ? canarySuffix : "") : undefined;
      tried.add(upstream);
      attempts++;
      last = upstream;
      upstream.inFlight++;
      controller = undefined;
      let attempted = true;
      const unconnected =
        timeouts.connect === undefined || timeouts.connect >= limits.connect
          ? undefined
          : after(timeouts.connect, () => {
              if (!controller && attempted) handler.onResponseError?.(undefined as never, tooLate());
            });
      const overdue = timeouts.backendRequest
        ? after(timeouts.backendRequest, () => {
            if (controller) controller.abort(tooLate());
            else if (attempted) handler.onResponseError?.(undefined as never, tooLate());
          })
        : undefined;
      const handler = relay(upstream, routed.id, () => {
        const once = attempted;
        attempted = false;
        done(overdue);
        done(unconnected);
        return once;
      });
      try {
        const once = withBody || !isIdempotent(method) || (retry?.only && retry.attempts === 0);
        upstream.connections(once ? "once" : undefined).dispatch(
          {
            method,
            path: routed.path,
            headers,
            body: held ?? body?.open() ?? null,
            ...(routed.closes ? { reset: true } : {}),
            ...(timeouts.read === undefined ? {} : { headersTimeout: timeouts.read, bodyTimeout: timeouts.read }),
          },
          handler,
        );
      } catch (error) {
        handler.onResponseError?.(undefined as never, error as Error);
      }
    }

    /** Takes one endpoint's answer to the client. `settle` is true the first time: an attempt ends once. */
    function relay(upstream: Upstream, id: string, settle: () => boolean): Dispatcher.DispatchHandler {
      let ignored = false;
      let replaced = 0;
      return {
        onRequestStart(started) {
          controller = started;
          if (gone || late) started.abort(new Error("the client went away"));
        },
        onResponseStart(current, status, _headers, statusMessage) {
          if (status < 200) return;
          if (mayRepeat(status, true)) {
            ignored = true;
            current.abort(new Error("this answer asks for another try"));
            return;
          }
          if (routed.errorPages?.codes.includes(status)) {
            replaced = status;
            current.abort(new Error("another answer takes its place"));
            return;
          }
          const headers = answerHeaders(current.rawHeaders as Buffer[], status);
          sendHead(response, status, statusMessage, headers);
          // What has come with the header section goes out with it; a header section alone must not wait for a body.
          process.nextTick(flushHead);
        },
        onResponseData(current, chunk) {
          if (ignored || replaced) return;
          if (!send(chunk, () => current.resume())) current.pause();
        },
        onResponseEnd(current) {
          if (!settle()) return;
          upstream.inFlight--;
          if (ignored) return again(upstream, answers.unreachable);
          if (replaced) return answerWith({ status: replaced, text: "The endpoint could not serve this request." });
          // A list from HTTP/1.1, an object from HTTP/2.
          const raw = current.rawTrailers as Buffer[] | Record<string, string> | null | undefined;
          const trailers = Array.isArray(raw) ? headerObject(responseHeaders(raw)) : { ...raw };
          if (Object.keys(trailers).length > 0) (response as ServerResponse).addTrailers(trailers);
          endAnswer(request, response, limits.clientIdle);
          if (body && !request.complete) lingerFor(request, response, limits.linger);
        },
        onResponseError(_current, error) {
          if (!settle()) return;
          upstream.inFlight--;
          if (ignored) again(upstream, answers.unreachable);
          else if (replaced) answerWith({ status: replaced, text: "The endpoint could not serve this request." });
          else failed(upstream, error, id);
        },
      };
    }

    /** Sends what has come; false where nothing more may come before `resume`. */
    function send(chunk: Buffer, resume: () => void): boolean {
      const { rate } = routed;
      let now = chunk.length;
      if (rate) {
        paced ??= performance.now();
        now = Math.min(now, bytesNow(rate, bytes, performance.now() - paced));
      }
      const rest = chunk.subarray(now);
      const further = (): void => {
        if (rest.length === 0 || send(rest, resume)) resume();
      };
      bytes += now;
      if (now > 0 && !sink.write(chunk.subarray(0, now))) {
        watchIdle(request, true, limits.clientIdle);
        response.once("drain", () => {
          watchIdle(request, false, limits.clientIdle);
          further();
        });
        return false;
      }
      if (rest.length === 0) return true;
      if (rate) after(waitFor(rate, rest.length), further);
      return false;
    }

    function answerHeaders(raw: Buffer[], status: number): string[] {
      const headers = [...responseHeaders(raw), ...authCookies(routed, status)];
      // Whoever answers clients as if it were the origin may say who it is (RFC 9110, 7.6 and 10.2.4), as nginx does.
      if (!hasField(headers, "server")) headers.push("server", "fairlead");
      if (stays && cookie !== undefined && cookie !== stays.told) {
        const { name, value } = affinityField(stays.affinity, cookie, routed.facts, context.clock.now());
        headers.push(name, value);
      }
      return changedAnswer(headers, routed);
    }

    /** An answer of our own, or the page of the backend that has those of its status. */
    function answerWith(answer: Answer): void {
      const { errorPages, facts, headers } = routed;
      if (!errorPages?.codes.includes(answer.status) || response.headersSent) return refuse(answer, routed.id);
      void fetchErrorPage(errorPages, { upstreams, facts, headers, status: answer.status }).then((page) => {
        if (gone || late || response.headersSent) return;
        if (!page) return refuse(answer, routed.id);
        if (method !== "HEAD") bytes += page.body.length;
        sendHead(
          response,
          page.status,
          undefined,
          changedAnswer([...page.headers, "content-length", String(page.body.length)], routed),
        );
        endAnswer(request, response, limits.clientIdle, method === "HEAD" ? undefined : page.body);
      });
    }

    /** The route asks for a further try after this, and the request can be sent again. */
    function mayRepeat(why: number | Error, sent: boolean): boolean {
      if (retry === undefined || attempts > retry.attempts || gone || late || (body?.touched && !held)) return false;
      return asksAgain(retry, { why, method, sent, elapsed: performance.now() - tryingSince });
    }

    function again(upstream: Upstream, answer: Answer): void {
      metrics.retried();
      if (!retry) return attempt(answer);
      // Others come first where the route does not say that it is the same request once more.
      if (!retry.only) tried.delete(upstream);
      if (retry.backoff > 0) after(retry.backoff, () => attempt(answer));
      else attempt(answer);
    }

    function flushHead(): void {
      if (!response.writableEnded && !response.destroyed && response instanceof ServerResponse) response.flushHeaders();
    }

    function failed(upstream: Upstream, error: Error, id: string): void {
      if (gone || late) return;
      if (response.headersSent) return cutOff(response);
      if (body?.tooLarge) return refuse(answers.bodyTooLarge, id);
      const sent = controller !== undefined;
      if (!sent) upstream.avoid();
      const answer = timedOut(error) ? answers.timeout : answers.unreachable;
      if (mayRepeat(error, sent)) return again(upstream, answer);
      if (!retry && attempts < limits.tries && !body?.touched && mayRetry(error, method, sent)) {
        // It was an old connection that failed and not the endpoint.
        if (sent) tried.delete(upstream);
        metrics.retried();
        return attempt(answer);
      }
      answerWith(answer);
    }
  }
}

const tooLate = (): Error => Object.assign(new Error("it took too long"), { code: "ETIMEDOUT" });
