// What becomes of a request: as the model says, and as a data plane did it.
import { dispensable } from "../../src/dataplane/features.ts";
import { type Feature, featuresOf } from "../../src/dataplane/index.ts";
import {
  changedPath,
  type Listener,
  match,
  poolsOf,
  redirectLocation,
  type RoutingModel,
  serverFor,
} from "../../src/routing/index.ts";
import { readRequest, type Reading, type Refused } from "./reading.ts";
import type { RawRequest } from "./request.ts";

export type Verdict =
  /** What the endpoint of a Service was given. */
  | {
      readonly at: "endpoint";
      readonly service: string;
      readonly method: string;
      readonly target: string;
      readonly host: string;
      readonly body: string;
    }
  | { readonly at: "redirect"; readonly status: number; readonly location: string }
  /** An answer of the proxy's own, or none but the end of the connection: `refused` means that the request was no good. */
  | { readonly at: "answer"; readonly status: number | "refused" };

/** Requests that are no good get one of these, or nothing but the end of their connection. */
const refusals = new Set([400, 405, 408, 411, 413, 414, 417, 422, 426, 431, 501, 505]);

export interface Expected {
  readonly verdict: Verdict;
  /** The verdict for who does not refuse what may be refused. */
  readonly otherwise?: Verdict;
  /** The verdict on what comes before a body that is no good. */
  readonly head?: Verdict;
  /** No server of the listener has the server name that its connection was made for. */
  readonly strange: boolean;
  /** What the bytes mean by themselves. */
  readonly reading: Reading | Refused;
}

/** The verdict of `match` on a request, for a data plane that can do so much. */
export function expected(
  model: RoutingModel,
  listener: Listener,
  raw: RawRequest,
  can: ReadonlySet<Feature>,
): Expected {
  const reading = readRequest(raw.bytes);
  const strange = raw.serverName !== undefined && !serverFor(listener, raw.serverName);
  if (!("refused" in reading)) return { verdict: verdictOf(model, listener, raw, can, reading), reading, strange };
  const { otherwise, head } = reading;
  return {
    verdict: { at: "answer", status: "refused" },
    reading,
    strange,
    ...(head ? { head: verdictOf(model, listener, raw, can, head) } : {}),
    ...(otherwise ? { otherwise: verdictOf(model, listener, raw, can, otherwise) } : {}),
  };
}

function verdictOf(
  model: RoutingModel,
  listener: Listener,
  raw: RawRequest,
  can: ReadonlySet<Feature>,
  { host, path, query, method, headers, body }: Reading,
): Verdict {
  const answer = (status: number | "refused"): Verdict => ({ at: "answer", status });
  if (method === "TRACE" || method === "CONNECT") return answer("refused");
  const found = match(model, {
    listener: listener.name,
    host,
    path,
    query,
    method,
    headers,
    ...(raw.serverName === undefined ? {} : { serverName: raw.serverName }),
  });
  if (found.outcome === "refused") return answer("refused");
  if (found.outcome === "misdirected") return answer(421);
  if (found.outcome === "unmatched") return answer(404);
  const { route } = found;
  if (featuresOf(route, listener, model.pools).some((feature) => !can.has(feature) && !dispensable.has(feature)))
    return answer(500);
  let target = found.path;
  let authority = host;
  for (const filter of route.rule.filters) {
    if (filter.type === "Redirect") {
      const scheme = listener.protocol === "HTTP" ? "http" : "https";
      const location = redirectLocation(
        filter.redirect,
        { scheme, host, port: listener.port, path: found.path, query },
        route.path,
      );
      return { at: "redirect", status: filter.redirect.status, location };
    }
    if (filter.type === "Rewrite") {
      target = changedPath(target, filter.path, route.path);
      authority = filter.hostname ?? authority;
    }
  }
  const [first] = poolsOf(model, route);
  if (!first) return answer(500);
  if (first.pool.endpoints.length === 0) return answer(503);
  const { name: service } = first.pool.service;
  return { at: "endpoint", service, method, target: target + query, host: authority, body };
}

/** An answer without those of status 1xx before it. */
export function withoutInterim(text: string): string {
  return text.replace(/^(?:HTTP\/1\.1 1\d\d[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n)+/, "");
}

/** What came back on a connection. */
export interface Exchange {
  /** All bytes, one for each character. */
  readonly answer: string;
  /** Requests that endpoints got while it lasted, by the mark that the request bears. */
  readonly arrived: readonly Arrival[];
}

/** A request as an endpoint read it. */
export interface Arrival {
  readonly service: string;
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly body: string;
}

export function observed(exchange: Exchange): Verdict | { readonly at: "fault"; readonly what: string } {
  const { arrived } = exchange;
  const answer = withoutInterim(exchange.answer);
  const [first, ...more] = arrived;
  if (more.length > 0) return { at: "fault", what: `${arrived.length} requests arrived: ${JSON.stringify(arrived)}` };
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(answer)?.[1] ?? 0);
  // To a request of HTTP/0.9 the answer is a page and nothing else.
  if (/^400 |^<html>/.test(answer)) return { at: "answer", status: "refused" };
  if (status === 0 && answer !== "") return { at: "fault", what: `no HTTP: ${JSON.stringify(answer)}` };
  if (first) {
    if (status !== 200) return { at: "fault", what: `a request arrived and its client got ${status}` };
    return { at: "endpoint", ...first };
  }
  if (status === 200) return { at: "fault", what: "200 without an endpoint" };
  if (status >= 300 && status < 400)
    return { at: "redirect", status, location: /\r\nlocation: ([^\r]*)\r\n/i.exec(answer)?.[1] ?? "" };
  return { at: "answer", status: status === 0 || refusals.has(status) ? "refused" : status };
}
