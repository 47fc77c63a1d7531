import { randomBytes } from "node:crypto";
import {
  type Affinity,
  type Backend,
  canaryShare,
  changedPath,
  cookieOf,
  corsFields,
  corsFieldsEverywhere,
  type ExternalAuth,
  type Field,
  type Filter,
  type HeaderChanges,
  type Match,
  redirectLocation,
  renderTemplate,
  type RequestFacts,
  type Retry,
  type Rule,
  stayOf,
  type TemplateHeaders,
  type Timeouts,
} from "../../routing/index.ts";
import type { Answer } from "./answer.ts";
import { answers } from "./answer.ts";
import { changedFields, withoutBody } from "./changes.ts";
import { renderRewrite, type RenderedRewrite } from "./answer-rewrite.ts";
import { judgeCertificate, type ShownCertificate } from "./client-certificate.ts";
import type { Guards } from "./guards.ts";
import type { AnswerRate } from "./answer-pace.ts";
import { type Applied, applyPolicy, verdictOf } from "./policies.ts";

/** What is done with a request that has found its route. */
export interface Decision {
  /** Key of the pool it goes to. */
  readonly pool: string;
  /** With the query. */
  readonly path: string;
  readonly headers: string[];
  /** Changes to the answer, one after the other. */
  readonly responseChanges: readonly HeaderChanges[];
  /** What stands in the place of something else in the answer, before anything is changed in it. */
  readonly rewrites: readonly RenderedRewrite[];
  /** Set on the answer, in the place of what the backend says. */
  readonly responseFields: readonly Field[];
  /** Pools that get a copy. */
  readonly mirrors: readonly Copy[];
  /** What is sent to the client in a second. */
  readonly rate?: AnswerRate;
  /** The connection to its endpoint ends with it. */
  readonly closes: boolean;
  readonly timeouts: Timeouts;
  readonly retry?: Retry;
  /** What decided on it, for what comes later. */
  readonly facts: RequestFacts;
  /** Bytes of the body. */
  readonly bodyBytes: number;
  /** Whether its password is right is not known yet: an answer when it is not. */
  readonly checking?: Applied["checking"];
  /** Must be asked first. */
  readonly authorize?: ExternalAuth;
  readonly errorPages?: Applied["errorPages"];
  /** The cookie that its client is to have: `told` is its value in the request, `key` its text where it is no endpoint. */
  readonly stays?: {
    readonly affinity: Affinity;
    readonly told?: string;
    readonly key?: string;
    readonly canary: boolean;
  };
  /** Address of the client. */
  readonly client: string;
  /** Id of the endpoint that its client has. */
  readonly sticky?: string;
  /** Requests with the same text go to the same endpoint, or `hashSubset` of them. */
  readonly hashKey?: string;
  readonly hashSubset?: number;
  readonly fallbackPool?: string;
  readonly fallbackChanges?: HeaderChanges;
  /** To be called when the request is done. */
  readonly release: readonly (() => void)[];
}

/** A copy of the request for another pool. */
export interface Copy {
  readonly pool: string;
  readonly path: string;
  readonly headers: string[];
  readonly withBody: boolean;
}

type MirrorFilter = Extract<Filter, { type: "Mirror" }>;

export interface DecidedRequest {
  readonly method: string;
  readonly scheme: "http" | "https";
  /** Host header as it was sent. */
  readonly host: string;
  /** The client's own address and scheme, behind forwarders that are trusted. */
  readonly client: string;
  readonly clientScheme: string;
  readonly id: string;
  /** Bytes that its body has, as it says. */
  readonly length: number;
  readonly guards: Guards;
  /** What the client has shown in its handshake. */
  readonly certificate: () => ShownCertificate | undefined;
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
  const rewrites: RenderedRewrite[] = [];
  const mirrorTo: MirrorFilter[] = [];
  let rate: AnswerRate | undefined;
  let closes = false;
  let { headers } = request;
  const applied: Applied = {
    path: found.path,
    bodyBytes: Number.POSITIVE_INFINITY,
    trusted: false,
    stranger: false,
    release: [],
  };
  const facts: RequestFacts = {
    scheme: request.clientScheme,
    host: found.host,
    httpHost: request.host,
    method: request.method,
    path: found.path,
    query: request.query,
    client: request.client,
    id: request.id,
    port: request.port,
    header: request.header,
  };
  const policyRequest = { facts, guards: request.guards, length: request.length };

  function apply(filter: Filter): Answer | undefined {
    switch (filter.type) {
      case "RequestHeaders":
        headers = changedFields(headers, filter.changes);
        return undefined;
      case "ResponseHeaders":
        responseChanges.push(filter.changes);
        return undefined;
      case "AnswerRate":
        rate = filter;
        return undefined;
      case "CloseConnection":
        closes = true;
        return undefined;
      case "AnswerRewrite":
        rewrites.push(renderRewrite(filter, facts));
        return undefined;
      case "TemplateHeaders": {
        const changes = renderedChanges(filter, facts);
        if (filter.of === "request") headers = changedFields(headers, changes);
        else responseChanges.push(changes);
        return undefined;
      }
      case "StrictTransport": {
        const set = [{ name: "strict-transport-security", value: filter.value }];
        // In clear it has no meaning, and anybody could have put it there.
        if (request.clientScheme === "https") responseChanges.push({ set, add: [], remove: [] });
        return undefined;
      }
      // Where it is in a trace was known before.
      case "Tracing":
        return undefined;
      case "ClientCertificate": {
        const judged = judgeCertificate(filter, facts, request.certificate());
        if ("status" in judged) return judged;
        headers = changedFields(headers, judged.changes);
        return undefined;
      }
      case "Redirect": {
        const { scheme, host, port, query } = request;
        const target = { scheme, host, port, path: found.path, query };
        const location = redirectLocation(filter.redirect, target, found.route.path);
        return {
          status: filter.redirect.status,
          text: "Look there.",
          fields: [{ name: "location", value: location }],
        };
      }
      case "Rewrite":
        applied.path = changedPath(applied.path, filter.path, found.route.path);
        if (filter.hostname !== undefined)
          headers = changedFields(headers, {
            set: [{ name: "host", value: filter.hostname }],
            add: [],
            remove: [],
          });
        return undefined;
      case "Mirror":
        if (filter.denominator > 0 && random() * filter.denominator < filter.numerator) mirrorTo.push(filter);
        return undefined;
      case "Cors": {
        const origin = request.header("origin");
        if (filter.cors.everywhere) {
          const fields = corsFieldsEverywhere(filter.cors, origin);
          if (request.method === "OPTIONS" && fields.length > 0) return { status: 204, text: "", fields };
          responseFields.push(...fields);
          return undefined;
        }
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
        return applyPolicy(filter, applied, policyRequest);
    }
  }

  /** An answer instead: what was taken is given back. */
  function instead(answer: Answer): Answer {
    for (const release of applied.release) release();
    return responseFields.length === 0 ? answer : { ...answer, fields: [...(answer.fields ?? []), ...responseFields] };
  }

  for (const filter of rule.filters) {
    const answer = apply(filter);
    if (answer) return instead(answer);
  }
  const shut = verdictOf(applied);
  if (shut) return instead(shut);
  let pool: string;
  const toCanary = rule.canary !== undefined && random() < canaryShare(rule.canary, facts.header);
  if (toCanary) pool = rule.canary.pool;
  else {
    const backend = pickBackend(rule.backends, random);
    if (backend?.pool === undefined) return instead(answers.misconfigured);
    for (const filter of backend.filters) {
      const answer = apply(filter);
      if (answer) return instead(answer);
    }
    pool = backend.pool;
  }
  const target = applied.path + request.query;
  const { hashBy, hashSubset, fallbackPool, fallbackFields } = rule;
  return {
    pool,
    path: target,
    headers,
    responseChanges,
    rewrites,
    responseFields,
    mirrors: mirrorTo.map((filter) => copyOf(filter, target, headers)),
    ...(rate ? { rate } : {}),
    closes,
    timeouts: rule.timeouts,
    ...(rule.retry ? { retry: rule.retry } : {}),
    facts,
    bodyBytes: applied.bodyBytes,
    ...(applied.checking ? { checking: applied.checking } : {}),
    ...(applied.authorize ? { authorize: applied.authorize } : {}),
    ...(applied.errorPages ? { errorPages: applied.errorPages } : {}),
    client: facts.client,
    ...(hashBy ? { hashKey: renderTemplate(hashBy, facts) } : {}),
    ...(hashSubset === undefined ? {} : { hashSubset }),
    ...staying(rule, toCanary, facts),
    ...(fallbackPool === undefined ? {} : { fallbackPool }),
    ...(fallbackFields ? { fallbackChanges: renderedChanges(fallbackFields, facts) } : {}),
    release: applied.release,
  };
}

function copyOf(filter: MirrorFilter, path: string, sent: string[]): Copy {
  const { pool, host } = filter;
  const named =
    host === undefined ? sent : changedFields(sent, { set: [{ name: "host", value: host }], add: [], remove: [] });
  const withBody = !filter.withoutBody;
  return { pool, path, headers: withBody ? named : withoutBody(named), withBody };
}

/** Which endpoint a client stays with. */
function staying(
  { affinity, canary }: Rule,
  toCanary: boolean,
  facts: RequestFacts,
): Pick<Decision, "stays" | "sticky" | "hashKey" | "hashSubset"> {
  if (!affinity || (toCanary && canary?.sticky === undefined)) return {};
  const told = cookieOf(facts.header("cookie"), affinity.cookie);
  const token = stayOf(told)?.token;
  const stays = { affinity, canary: toCanary, ...(told === undefined ? {} : { told }) };
  if (!affinity.balanced) return { stays, ...(token === undefined ? {} : { sticky: token }) };
  const key = token ?? randomBytes(16).toString("hex");
  return { stays: { ...stays, key }, hashKey: key, hashSubset: 1 };
}

/** Fields with the parts of a request in them; those that are empty for it are removed. */
function renderedChanges({ how, fields }: TemplateHeaders, facts: RequestFacts): HeaderChanges {
  const rendered = fields.map(({ name, value }) => ({ name, value: renderTemplate(value, facts) }));
  const given = rendered.filter(({ value }) => value !== "");
  return {
    set: how === "set" ? given : [],
    add: how === "add" ? given : [],
    remove: how === "set" ? rendered.flatMap(({ name, value }) => (value === "" ? [name] : [])) : [],
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
