import {
  type ExternalAuth,
  type Field,
  type HeaderChanges,
  type Listener,
  matchOn,
  renderTemplate,
  type RequestFacts,
} from "../../routing/index.ts";
import { type Answer, answers } from "./answer.ts";
import { changedFields, withoutBody } from "./changes.ts";
import { answerKey, type AnswerMemory, type Said, secondsOf } from "./remembered-answers.ts";
import type { Upstreams } from "./upstream.ts";

/** How long the authorization service has for its answer, in milliseconds; without one nobody is let in. */
const patience = 10_000;

/** Fields of the request that the question has: what a browser or a program shows of itself, and nothing about its body. */
const dropped = [
  "content-length",
  "content-type",
  "content-encoding",
  "transfer-encoding",
  "expect",
  "if-modified-since",
  "if-none-match",
  "range",
];

/** Answers of endpoints that have the cookies of whoever let their requests in. */
const withCookies: ReadonlySet<number> = new Set([200, 201, 204, 206, 301, 302, 303, 304, 307, 308]);

/** Cookies of whoever let a request in, for the client, as name, value, name, value. */
export function authCookies(
  { authorize, cookies = [] }: { readonly authorize?: ExternalAuth; readonly cookies?: readonly string[] },
  status: number,
): string[] {
  if (!authorize?.alwaysCookies && !withCookies.has(status)) return [];
  return cookies.flatMap((cookie) => ["set-cookie", cookie]);
}

export interface Question {
  readonly upstreams: Upstreams;
  readonly listener: Listener;
  readonly facts: RequestFacts;
  /** Fields for the backend. */
  readonly headers: readonly string[];
  readonly signal: AbortSignal;
  /** What was said before. */
  readonly answers: AnswerMemory;
}

/** Whether a request may pass: changes of the backend's fields and cookies for the client when it may, the answer for the client when it may not. */
export async function askAuthorization(
  auth: ExternalAuth,
  question: Question,
): Promise<{ readonly changes: HeaderChanges; readonly cookies: readonly string[] } | Answer> {
  const { facts, answers: memory } = question;
  const key = auth.remembered && answerKey(auth.remembered, facts);
  const known = key === undefined ? undefined : memory.find(key);
  if (known) return verdictOf(auth, facts, { ...known, cookies: [] });
  const told = await ask(auth, question);
  if (!told) return failed;
  const { status, header, cookies } = told;
  const fields = new Map<string, string>();
  for (const name of [...auth.responseHeaders, "www-authenticate"]) {
    const value = header(name);
    if (value !== undefined) fields.set(name, value);
  }
  const seconds = auth.remembered ? secondsOf(auth.remembered, status, header) : 0;
  if (key !== undefined && seconds > 0) memory.keep(key, { status, fields }, seconds);
  return verdictOf(auth, facts, { status, fields, cookies });
}

const failed: Answer = { ...answers.misconfigured, text: "The authorization service did not answer." };

const originalOf = (facts: RequestFacts): string => `${facts.scheme}://${facts.httpHost}${facts.path}${facts.query}`;

/** What an answer means for the request. */
function verdictOf(
  auth: ExternalAuth,
  facts: RequestFacts,
  { status, fields, cookies }: Said & { readonly cookies: readonly string[] },
): { readonly changes: HeaderChanges; readonly cookies: readonly string[] } | Answer {
  if (status >= 200 && status < 300)
    return { changes: changesOf(auth.responseHeaders, (name) => fields.get(name)), cookies };
  const given = cookies.map((cookie) => ({ name: "set-cookie", value: cookie }));
  if (status === 401 && auth.signin) {
    const target = renderTemplate(auth.signin, facts);
    const joined = [`?${auth.signinParameter}=`, `&${auth.signinParameter}=`].some((each) => target.includes(each))
      ? target
      : `${target}${target.includes("?") ? "&" : "?"}${auth.signinParameter}=${encodeURIComponent(originalOf(facts))}`;
    return { status: 302, text: "Look there.", fields: [{ name: "location", value: joined }, ...given] };
  }
  if (status === 401) {
    const challenge = fields.get("www-authenticate");
    const asks = challenge === undefined ? [] : [{ name: "www-authenticate", value: challenge }];
    return { status: 401, text: "Authorization is needed.", fields: [...asks, ...given] };
  }
  if (status === 403) return { status: 403, text: "This is not allowed.", fields: given };
  return failed;
}

interface Told {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  readonly cookies: readonly string[];
}

/** Asks the service; `undefined` when it does not answer. */
async function ask(
  auth: ExternalAuth,
  { upstreams, listener, facts, headers, signal }: Question,
): Promise<Told | undefined> {
  const text = renderTemplate(auth.path, facts);
  const path = text.startsWith("/") ? text : `/${text}`;
  const host = auth.host === "" ? facts.host : auth.host;
  const pool = auth.pool ?? poolFor(listener, host, path);
  const upstream = pool === undefined ? undefined : upstreams.pick(pool, new Set());
  if (upstream === undefined || upstream === "full") return undefined;

  const set: Field[] = [
    { name: "host", value: host },
    { name: "x-original-url", value: originalOf(facts) },
    { name: "x-original-method", value: facts.method },
    { name: "x-sent-from", value: "nginx-ingress-controller" },
    {
      name: "x-auth-request-redirect",
      value: auth.redirect ? renderTemplate(auth.redirect, facts) : facts.path + facts.query,
    },
  ];
  for (const { name, value } of auth.headers ?? []) set.push({ name, value: renderTemplate(value, facts) });
  const asked = withoutBody(changedFields(headers, { set, add: [], remove: dropped }));
  upstream.inFlight++;
  try {
    const answer = await upstream.connections().request({
      method: auth.method ?? "GET",
      path,
      headers: asked,
      headersTimeout: patience,
      bodyTimeout: patience,
      signal,
    });
    await answer.body.dump();
    const header = (name: string): string | undefined => {
      const found = answer.headers[name];
      return Array.isArray(found) ? found.join(", ") : found;
    };
    return { status: answer.statusCode, header, cookies: [answer.headers["set-cookie"] ?? []].flat() };
  } catch {
    upstream.avoid();
    return undefined;
  } finally {
    upstream.inFlight--;
  }
}

/** What the service did not say, the client must not say in its place. */
function changesOf(names: readonly string[], value: (name: string) => string | undefined): HeaderChanges {
  const set = names.flatMap((name) => {
    const said = value(name);
    return said === undefined ? [] : [{ name, value: said }];
  });
  return { set, add: [], remove: names.filter((name) => value(name) === undefined) };
}

/** The pool that a request for a host and a path would be led to, whatever guards it. */
function poolFor(listener: Listener, host: string, path: string): string | undefined {
  const mark = path.indexOf("?");
  const found = matchOn(listener, {
    host,
    path: mark < 0 ? path : path.slice(0, mark),
    query: mark < 0 ? "" : path.slice(mark),
    method: "GET",
    header: () => undefined,
    serverName: listener.protocol === "HTTP" ? undefined : host,
  });
  return found.outcome === "route" ? found.route.rule.backends[0]?.pool : undefined;
}
