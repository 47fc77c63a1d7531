import type { Field, Filter } from "../filters.ts";
import type { HttpMatchSpec, RouteBackendSpec, RouteFilterSpec, RouteRuleSpec } from "../gateway/types.ts";
import type { Pool, Route } from "../model.ts";
import type { Template } from "../template.ts";

/** A rule of an HTTPRoute. */
export type HttpRule = RouteRuleSpec<HttpMatchSpec>;

/** What a route becomes. */
export interface WrittenRule {
  /** The most specific first. */
  readonly rules: readonly HttpRule[];
  /** Clients without TLS are sent to https by this status. */
  readonly sslRedirect?: number;
  readonly match: HttpMatchSpec;
  /** What is lost or said otherwise. */
  readonly notes: readonly string[];
}

export interface RuleLookups {
  readonly pool: (key: string) => Pool | undefined;
  /** Number of a Service's port as a route names it. */
  readonly portNumber: (namespace: string, service: string, port: string) => number | undefined;
}

/** What cannot be written, and why. */
export class NotWritable extends Error {
  override name = "NotWritable";
  readonly code = "NotWritable";
}

/** The rules that mean for the Gateway API what a route means. Throws NotWritable for what must not be left out. */
export function ruleOf(route: Route, namespace: string, lookups: RuleLookups): WrittenRule {
  const notes: string[] = [];
  const { rule } = route;
  const written = filtersOf(route, notes);
  const match = written.match ?? matchOf(route, notes);
  const filters = written.filters;
  const { sslRedirect } = written;
  const done = (rules: readonly HttpRule[]): WrittenRule => ({
    rules: [...written.before, ...rules],
    ...(sslRedirect === undefined ? {} : { sslRedirect }),
    match,
    notes,
  });
  if (filters.some(({ requestRedirect }) => requestRedirect)) return done([{ matches: [match], filters }]);

  if (rule.affinity) notes.push("affinity by a cookie is lost: sessionPersistence is not in the standard channel");
  if (rule.hashBy) notes.push("upstream-hash-by is lost: the Gateway API cannot say how endpoints are chosen");
  if (rule.fallbackPool !== undefined) notes.push("default-backend is lost: without endpoints the answer is 503");
  if (rule.retry) notes.push("proxy-next-upstream is lost: a retry of an HTTPRoute is for any method");
  const timeouts = timeoutsOf(route, notes);
  const main = rule.backends.map(({ pool, weight }) => backendOf(pool, weight));
  const of = (matches: HttpMatchSpec, backendRefs: readonly RouteBackendSpec[]): HttpRule => ({
    matches: [matches],
    ...(filters.length > 0 ? { filters } : {}),
    backendRefs,
    ...(timeouts ? { timeouts } : {}),
  });
  const { canary } = rule;
  if (!canary) return done([of(match, main)]);
  const other = [backendOf(canary.pool, 1)];
  const rules: HttpRule[] = [];
  const when = (name: string, value: string, backends: readonly RouteBackendSpec[], type = "Exact"): void =>
    void rules.push(of({ ...match, headers: [{ type, name, value }] }, backends));
  const { header, cookie, weight, total } = canary;
  if (header?.value !== undefined) when(header.name, header.value, other);
  else if (header?.pattern !== undefined) when(header.name, `.*(?:${header.pattern}).*`, other, "RegularExpression");
  else if (header) {
    when(header.name, "always", other);
    when(header.name, "never", main);
  }
  if (cookie !== undefined) {
    const says = (value: string): string => `(?:.*;\\s*)?${cookie.replaceAll(/[.+*?^$|]/g, "\\$&")}=${value}(?:;.*)?`;
    when("cookie", says("always"), other, "RegularExpression");
    when("cookie", says("never"), main, "RegularExpression");
  }
  const share = Math.min(weight, total);
  const shares = [
    ...main.map((backend) => ({ ...backend, weight: total - share })),
    ...other.map((backend) => ({ ...backend, weight: share })),
  ];
  return done([...rules, of(match, share > 0 ? shares : main)]);

  function backendOf(key: string | undefined, weight: number): RouteBackendSpec {
    const pool = key === undefined ? undefined : lookups.pool(key);
    if (!pool) throw new NotWritable("its backend is no Service");
    return { ...serviceRef(pool), weight };
  }

  function serviceRef({ service, port, tls, protocol }: Pool): RouteBackendSpec {
    if (tls)
      throw new NotWritable(
        tls.unverified
          ? "its backend speaks TLS that nobody verifies, which a BackendTLSPolicy cannot say"
          : "its backend speaks TLS: write a BackendTLSPolicy for it",
      );
    const number = /^\d+$/.test(port) ? Number(port) : lookups.portNumber(service.namespace, service.name, port);
    if (number === undefined)
      throw new NotWritable(`the number of port ${port} of Service ${service.namespace}/${service.name} is not known`);
    if (protocol === "h2c")
      notes.push(`port ${number} of Service ${service.namespace}/${service.name} needs appProtocol: kubernetes.io/h2c`);
    if (service.namespace !== namespace)
      notes.push(
        `Service ${service.namespace}/${service.name} is in another namespace: a ReferenceGrant there has to allow it`,
      );
    return {
      name: service.name,
      ...(service.namespace === namespace ? {} : { namespace: service.namespace }),
      port: number,
    };
  }

  function filtersOf(
    of_: Route,
    said: string[],
  ): {
    filters: RouteFilterSpec[];
    before: HttpRule[];
    sslRedirect?: number;
    match?: HttpMatchSpec;
  } {
    const result: RouteFilterSpec[] = [];
    const before: HttpRule[] = [];
    let changed: HttpMatchSpec | undefined;
    let ssl: number | undefined;
    let rewrite: RouteFilterSpec["urlRewrite"];
    for (const filter of of_.rule.filters) {
      switch (filter.type) {
        case "SslRedirect":
          ssl = filter.status;
          said.push("/.well-known/acme-challenge/ is sent to https too");
          if (filter.cutSlash) said.push("a redirect to https keeps the slash at the end of the path");
          if (filter.port !== undefined) said.push("a redirect to https names a port only where it is not 443");
          break;
        case "UrlRedirect": {
          if (filter.cutSlash) said.push("a redirect keeps the slash at the end of the path");
          const redirect: RouteFilterSpec = { type: "RequestRedirect", requestRedirect: redirectOf(filter, said) };
          if (filter.path === undefined) return { filters: [redirect], before, ...(ssl ? { sslRedirect: ssl } : {}) };
          before.push({ matches: [{ path: { type: "Exact", value: filter.path } }], filters: [redirect] });
          break;
        }
        case "RequestHeaders":
          result.push({ type: "RequestHeaderModifier", requestHeaderModifier: changesOf(filter) });
          break;
        case "ResponseHeaders":
          result.push({ type: "ResponseHeaderModifier", responseHeaderModifier: changesOf(filter) });
          break;
        case "AnswerRewrite":
          said.push(
            `${filter.what === "location" ? "proxy-redirect" : `proxy-${filter.what}`} is lost: answers are passed on`,
          );
          break;
        case "TemplateHeaders":
          said.push(
            `${filter.fields.map(({ name }) => name).join(", ")} is lost: a filter cannot have parts of the request in it`,
          );
          break;
        case "StrictTransport":
          said.push("Strict-Transport-Security is lost: a filter cannot be for TLS only");
          break;
        case "Rewrite":
          if (filter.hostname !== undefined) rewrite = { ...rewrite, hostname: filter.hostname };
          break;
        case "RegexRewrite": {
          const simple = prefixRewrite(filter);
          if (!simple)
            throw new NotWritable(
              `rewrite-target ${filter.replacement} with captures is more than a prefix, and the Gateway API has no such rewrite`,
            );
          if (simple.path) rewrite = { ...rewrite, path: simple.path };
          if (simple.prefix !== undefined) {
            changed = { path: { type: "PathPrefix", value: simple.prefix } };
            said.push(`${simple.prefix} is matched by whole path elements and with regard to case`);
          }
          break;
        }
        case "Cors": {
          const { everywhere: _, ...cors } = filter.cors;
          const all = cors.allowOrigins.includes("*");
          // The Gateway API names the very origin where credentials are allowed: that would let in whom browsers keep out now.
          result.push({ type: "CORS", cors: all ? { ...cors, allowCredentials: false } : cors });
          if (!all && cors.allowOrigins.some((origin) => origin.includes("*")))
            said.push("an asterisk in cors-allow-origin is one label with ingress-nginx, and one or more here");
          break;
        }
        case "Mirror": {
          const pool = lookups.pool(filter.pool);
          if (pool) result.push({ type: "RequestMirror", requestMirror: { backendRef: serviceRef(pool) } });
          break;
        }
        case "BodyLimit":
          if (filter.bytes !== 1 << 20) said.push("proxy-body-size is lost: there is no such limit");
          break;
        case "CloseConnection":
          said.push("connection-proxy-header is lost: connections to endpoints are the data plane's own");
          break;
        case "AnswerRate":
          said.push("limit-rate is lost: there is no such filter");
          break;
        case "Tracing":
          said.push("opentelemetry annotations are lost: there is no such filter");
          break;
        case "RateLimit":
        case "ConnectionLimit":
          said.push("limits by client are lost: there is no such filter");
          break;
        case "ErrorPages":
          said.push("custom-http-errors is lost: answers of backends are passed on");
          break;
        case "SourceRanges":
          throw new NotWritable("it is guarded by source ranges, and the Gateway API has no such filter");
        case "BasicAuth":
        case "DigestAuth":
          throw new NotWritable("it is guarded by passwords, and the Gateway API has no such filter");
        case "ExternalAuth":
          throw new NotWritable("it is guarded by auth-url, and no filter of the standard channel is");
        case "Unsupported":
          throw new NotWritable(`${filter.what} cannot be served`);
        case "Redirect":
          throw new NotWritable("it has a redirect that no annotation makes");
      }
    }
    if (rewrite) result.push({ type: "URLRewrite", urlRewrite: rewrite });
    return {
      filters: result,
      before,
      ...(ssl === undefined ? {} : { sslRedirect: ssl }),
      ...(changed ? { match: changed } : {}),
    };
  }
}

function matchOf({ path }: Route, notes: string[]): HttpMatchSpec {
  if (!path) return { path: { type: "PathPrefix", value: "/" } };
  if (path.type !== "RegularExpression")
    return { path: { type: path.type === "Exact" ? "Exact" : "PathPrefix", value: path.value || "/" } };
  if (path.value === "(?i)(?:/).*") return { path: { type: "PathPrefix", value: "/" } };
  notes.push("it is matched by an expression: what wins among expressions is each implementation's own");
  return { path: { type: "RegularExpression", value: path.value } };
}

function changesOf({ changes }: Extract<Filter, { type: "RequestHeaders" | "ResponseHeaders" }>) {
  const part = (name: "set" | "add", fields: readonly Field[]) => (fields.length > 0 ? { [name]: fields } : {});
  return {
    ...part("set", changes.set),
    ...part("add", changes.add),
    ...(changes.remove.length > 0 ? { remove: changes.remove } : {}),
  };
}

/** `/foo(/|$)(.*)` to `/$2` is the prefix `/foo`; a replacement without captures takes the place of the whole path. */
function prefixRewrite({ pattern, replacement }: Extract<Filter, { type: "RegexRewrite" }>) {
  const source = pattern.replace(/^\(\?i\)\^?/, "");
  if (!replacement.includes("$")) return { path: { type: "ReplaceFullPath" as const, replaceFullPath: replacement } };
  const [, literal, tail] =
    /^((?:\/[\w.~-]+)*)(\(\/\|\$\)\(\.\*\)|\/\(\.\*\)|\/\?\(\.\*\)|\(\/\.\*\))\$?$/.exec(source) ?? [];
  const [, before = "", capture] = /^(\/?[\w/.~-]*)\$(\d)$/.exec(replacement) ?? [];
  if (literal === undefined || tail === undefined || capture === undefined) return undefined;
  if (capture !== (tail.startsWith("(/|$)") ? "2" : "1")) return undefined;
  const prefix = literal === "" ? "/" : literal;
  const to = before.replace(/\/+$/, "") || "/";
  return prefix === to ? { prefix } : { prefix, path: { type: "ReplacePrefixMatch" as const, replacePrefixMatch: to } };
}

/** Redirects that a template can be said as. */
function redirectOf(
  { url, status }: { readonly url: Template; readonly status: number },
  notes: string[],
): NonNullable<RouteFilterSpec["requestRedirect"]> {
  const text = url.map((part) => (typeof part === "string" ? part : `\${${part.variable}}`)).join("");
  const [, scheme = "", host = "", rest = ""] =
    /^(https?|\$\{scheme\}):\/\/([^/$]+|\$\{(?:http_)?host\})(.*)$/.exec(text) ?? [];
  const keepsAll = rest === "${request_uri}";
  const plainPath = /^(\/[^$?#]*)?(\$\{is_args\}\$\{args\})?$/.exec(rest);
  if (scheme === "" || (!keepsAll && !plainPath)) throw new NotWritable(`a redirect to ${text} cannot be said`);
  const [name = "", port] = host.split(":");
  const own = host.startsWith("$");
  if (!keepsAll && plainPath?.[2] === undefined) notes.push(`the redirect to ${text} keeps the query of the request`);
  return {
    ...(scheme === "http" || scheme === "https" ? { scheme } : {}),
    ...(own ? {} : { hostname: name }),
    ...(port === undefined ? {} : { port: Number(port) }),
    ...(keepsAll ? {} : { path: { type: "ReplaceFullPath", replaceFullPath: plainPath?.[1] || "/" } }),
    statusCode: status,
  };
}

function timeoutsOf({ rule }: Route, notes: string[]): { backendRequest: string } | undefined {
  const { connect, read } = rule.timeouts;
  if (connect !== undefined && connect !== 5_000) notes.push("proxy-connect-timeout is lost");
  if (read === undefined || read === 60_000) return undefined;
  notes.push("proxy-read-timeout becomes the time until the answer begins");
  return { backendRequest: `${Math.ceil(read / 1000)}s` };
}
