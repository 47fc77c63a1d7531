import {
  type Backend,
  changedPath,
  corsFields,
  type Field,
  type Filter,
  type HeaderChanges,
  type Match,
  redirectLocation,
  type Retry,
  type Timeouts,
} from "../../routing/index.ts";
import type { Answer } from "./answer.ts";
import { answers } from "./answer.ts";
import { changedFields } from "./changes.ts";

/** What is done with a request that has found its route. */
export interface Decision {
  /** Key of the pool it goes to. */
  readonly pool: string;
  /** With the query. */
  readonly path: string;
  readonly headers: string[];
  /** Changes to the answer, one after the other. */
  readonly responseChanges: readonly HeaderChanges[];
  /** Set on the answer, in the place of what the backend says. */
  readonly responseFields: readonly Field[];
  /** Pools that get a copy. */
  readonly mirrors: readonly { readonly pool: string; readonly path: string; readonly headers: string[] }[];
  readonly timeouts: Timeouts;
  readonly retry?: Retry;
}

export interface DecidedRequest {
  readonly method: string;
  readonly scheme: "http" | "https";
  /** Host header as it was sent. */
  readonly host: string;
  /** Port as clients see it. */
  readonly port: number;
  readonly query: string;
  readonly header: (name: string) => string | undefined;
  /** Fields for the backend. */
  readonly headers: string[];
}

type Routed = Extract<Match, { outcome: "route" }>;

/** Applies a route's filters and chooses one of its backends. `random` gives numbers from 0 to 1. */
export function decide(found: Routed, request: DecidedRequest, random: () => number = Math.random): Decision | Answer {
  const { rule } = found.route;
  const responseChanges: HeaderChanges[] = [];
  const responseFields: Field[] = [];
  const mirrorTo: string[] = [];
  let { headers } = request;
  let { path } = found;

  function apply(filter: Filter): Answer | undefined {
    switch (filter.type) {
      case "RequestHeaders":
        headers = changedFields(headers, filter.changes);
        return undefined;
      case "ResponseHeaders":
        responseChanges.push(filter.changes);
        return undefined;
      case "Redirect": {
        const { scheme, host, port, query } = request;
        const target = { scheme, host, port, path: found.path, query };
        const location = redirectLocation(filter.redirect, target, found.route.path);
        return {
          status: filter.redirect.status,
          text: "Look there.",
          fields: [{ name: "location", value: location }, ...responseFields],
        };
      }
      case "Rewrite":
        path = changedPath(path, filter.path, found.route.path);
        if (filter.hostname !== undefined)
          headers = changedFields(headers, {
            set: [{ name: "host", value: filter.hostname }],
            add: [],
            remove: [],
          });
        return undefined;
      case "Mirror":
        if (filter.denominator > 0 && random() * filter.denominator < filter.numerator) mirrorTo.push(filter.pool);
        return undefined;
      case "Cors": {
        const origin = request.header("origin");
        if (origin === undefined) return undefined;
        const method = request.header("access-control-request-method");
        if (request.method === "OPTIONS" && method !== undefined) {
          const asked = { method, headers: request.header("access-control-request-headers") ?? "" };
          return { status: 204, text: "", fields: corsFields(filter.cors, origin, asked) };
        }
        responseFields.push(...corsFields(filter.cors, origin));
        return undefined;
      }
      case "Unsupported":
        return answers.misconfigured;
      default:
        return filter satisfies never;
    }
  }

  for (const filter of rule.filters) {
    const answer = apply(filter);
    if (answer) return answer;
  }
  const backend = pickBackend(rule.backends, random);
  if (backend?.pool === undefined) return answers.misconfigured;
  for (const filter of backend.filters) {
    const answer = apply(filter);
    if (answer) return answer;
  }
  const target = path + request.query;
  return {
    pool: backend.pool,
    path: target,
    headers,
    responseChanges,
    responseFields,
    mirrors: mirrorTo.map((pool) => ({ pool, path: target, headers })),
    timeouts: rule.timeouts,
    ...(rule.retry ? { retry: rule.retry } : {}),
  };
}

/** One of the backends, by its weight; `undefined` when none has one. */
export function pickBackend(backends: readonly Backend[], random: () => number = Math.random): Backend | undefined {
  const [first] = backends;
  if (backends.length === 1) return first && first.weight > 0 ? first : undefined;
  let total = 0;
  for (const { weight } of backends) total += weight;
  let left = random() * total;
  for (const backend of backends) {
    left -= backend.weight;
    if (left < 0 && backend.weight > 0) return backend;
  }
  return undefined;
}
