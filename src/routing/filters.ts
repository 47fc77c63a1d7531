import { canonicalHost } from "./host.ts";
import type { PathMatch } from "./model.ts";
import type { PolicyFilter, SslRedirect, UrlRedirect } from "./policies.ts";
import { renderTemplate, type RequestFacts } from "./template.ts";

/** Changes to header fields: remove, then set, then add. Names as they were given. */
export interface HeaderChanges {
  readonly set: readonly Field[];
  readonly add: readonly Field[];
  readonly remove: readonly string[];
}

export interface Field {
  readonly name: string;
  readonly value: string;
}

/** What takes the place of a path: all of it, or the prefix that the route matched. */
export interface PathChange {
  readonly type: "ReplaceFullPath" | "ReplacePrefixMatch";
  readonly value: string;
}

/** Cross-origin rules (HTTPRoute `CORS`). */
export interface Cors {
  /** Origins, perhaps with `*` in the place of labels, or `*` for all. */
  readonly allowOrigins: readonly string[];
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly allowCredentials: boolean;
  /** Seconds. */
  readonly maxAge: number;
  /**
   * As ingress-nginx has it: the fields stand in every answer, the proxy's own too; any OPTIONS is answered; all origins are `*` even where
   * credentials are allowed, so that browsers send none; and `*` in an origin is one label.
   */
  readonly everywhere?: true;
}

/** What is done to a request on its way, or instead of it. */
export type Filter =
  | { readonly type: "RequestHeaders"; readonly changes: HeaderChanges }
  | { readonly type: "ResponseHeaders"; readonly changes: HeaderChanges }
  | { readonly type: "Redirect"; readonly redirect: Redirect }
  | { readonly type: "Rewrite"; readonly hostname?: string; readonly path?: PathChange }
  /**
   * `numerator` of `denominator` requests are sent there too; the answers are thrown away. `host`: the Host header of the copy; default: that
   * of the request. `withoutBody`: it has none.
   */
  | {
      readonly type: "Mirror";
      readonly pool: string;
      readonly numerator: number;
      readonly denominator: number;
      readonly host?: string;
      readonly withoutBody?: true;
    }
  | { readonly type: "Cors"; readonly cors: Cors }
  | PolicyFilter
  /** Something that cannot be done: requests get 500 and are not served as if it were not there. */
  | { readonly type: "Unsupported"; readonly what: string };

export interface Redirect {
  readonly scheme?: "http" | "https";
  readonly hostname?: string;
  readonly path?: PathChange;
  readonly port?: number;
  readonly status: 301 | 302 | 303 | 307 | 308;
}

/** What a redirect must know of the request. */
export interface RedirectedRequest {
  readonly scheme: "http" | "https";
  /** Host header as it was sent. */
  readonly host: string;
  /** Port of the listener, as clients see it. */
  readonly port: number;
  /** Canonical. */
  readonly path: string;
  /** With its question mark, or "". */
  readonly query: string;
}

const wellKnown = { http: 80, https: 443 } as const;

/** The path after a change. `match` is what the route matched it by. */
export function changedPath(path: string, change: PathChange | undefined, match: PathMatch | undefined): string {
  if (!change) return path;
  if (change.type === "ReplaceFullPath") return change.value || "/";
  const matched = match?.type === "Prefix" ? match.value : "";
  const rest = path.slice(matched.length);
  const prefix = change.value.replace(/\/+$/, "");
  const changed = prefix + (rest === "" || rest.startsWith("/") ? rest : `/${rest}`);
  return changed === "" ? "/" : changed;
}

/**
 * The Location of a redirect (HTTPRequestRedirectFilter). Without a port of its own, it is the well-known one of a scheme
 * that the filter names, else that of the listener; a scheme's well-known port is not written.
 */
export function redirectLocation(redirect: Redirect, request: RedirectedRequest, match: PathMatch | undefined): string {
  const scheme = redirect.scheme ?? request.scheme;
  const host = redirect.hostname ?? canonicalHost(request.host) ?? "";
  const port = redirect.port ?? (redirect.scheme ? wellKnown[redirect.scheme] : request.port);
  const path = changedPath(request.path, redirect.path, match);
  return `${scheme}://${host}${port === wellKnown[scheme] ? "" : `:${port}`}${path}${request.query}`;
}

/** Where `SslRedirect` sends a request. */
export function sslLocation(
  { port, cutSlash }: SslRedirect,
  { host, path, query }: Pick<RequestFacts, "host" | "path" | "query">,
): string {
  const rest = cut(path + query, cutSlash);
  return `https://${host}${port === undefined ? "" : `:${port}`}${rest}`;
}

/** Where a UrlRedirect sends to. */
export function urlLocation({ url, cutSlash }: UrlRedirect, facts: RequestFacts): string {
  return cut(renderTemplate(url, facts), cutSlash);
}

const cut = (text: string, cutSlash: true | undefined): string =>
  cutSlash && text.endsWith("/") ? text.slice(0, -1) : text;

/** True when an origin is allowed. `https://*.example.com` covers one or more labels (GEP-1767), or one where `everywhere` says so. */
export function allowsOrigin(cors: Cors, origin: string): boolean {
  return cors.allowOrigins.some((allowed) => {
    if (allowed === "*" || allowed === origin) return true;
    const star = allowed.indexOf("*");
    if (star < 0) return allowed.toLowerCase() === origin.toLowerCase();
    const [before, after] = [allowed.slice(0, star).toLowerCase(), allowed.slice(star + 1).toLowerCase()];
    const lower = origin.toLowerCase();
    const middle = lower.slice(before.length, lower.length - after.length);
    if (cors.everywhere && !/^[a-z0-9-]+$/.test(middle)) return false;
    return (
      lower.length > before.length + after.length &&
      lower.startsWith(before) &&
      lower.endsWith(after) &&
      // A port is no part of a name, and nothing of the kind may be smuggled in.
      (/^[a-z0-9.-]+$/.test(middle) || (after === "" && /^[a-z0-9.-]+(?::\d+)?$/.test(middle)))
    );
  });
}

/** Header fields that every answer gets where `everywhere` says so; none when there is no origin that is allowed. */
export function corsFieldsEverywhere(cors: Cors, origin: string | undefined): Field[] {
  const all = cors.allowOrigins.includes("*");
  if (!all && (origin === undefined || !allowsOrigin(cors, origin))) return [];
  return [
    { name: "access-control-allow-origin", value: all ? "*" : (origin ?? "") },
    ...(all ? [] : [{ name: "vary", value: "Origin" }]),
    ...(cors.allowCredentials ? [{ name: "access-control-allow-credentials", value: "true" }] : []),
    { name: "access-control-allow-methods", value: cors.allowMethods.join(", ") },
    { name: "access-control-allow-headers", value: cors.allowHeaders.join(", ") },
    { name: "access-control-max-age", value: String(cors.maxAge) },
    ...(cors.exposeHeaders.length > 0
      ? [{ name: "access-control-expose-headers", value: cors.exposeHeaders.join(", ") }]
      : []),
  ];
}

/**
 * Header fields that an answer to a cross-origin request gets; none when its origin is not allowed. `preflight` has the
 * values of `Access-Control-Request-Method` and `-Headers`.
 */
export function corsFields(
  cors: Cors,
  origin: string,
  preflight?: { readonly method: string; readonly headers: string },
): Field[] {
  if (!allowsOrigin(cors, origin)) return [];
  const fields: Field[] = [];
  const say = (name: string, value: string): void => void (value !== "" && fields.push({ name, value }));
  // With credentials an asterisk means nothing to browsers (Fetch standard): the very origin is named.
  const all = cors.allowOrigins.includes("*") && !cors.allowCredentials;
  say("access-control-allow-origin", all ? "*" : origin);
  if (!all) say("vary", "Origin");
  if (cors.allowCredentials) say("access-control-allow-credentials", "true");
  const list = (values: readonly string[], asked: string): string =>
    values.includes("*") ? (cors.allowCredentials || !preflight ? asked : "*") : values.join(", ");
  if (preflight) {
    say("access-control-allow-methods", list(cors.allowMethods, preflight.method));
    say("access-control-allow-headers", list(cors.allowHeaders, preflight.headers));
    say("access-control-max-age", String(cors.maxAge));
  }
  if (cors.exposeHeaders.includes("*")) {
    if (!cors.allowCredentials) say("access-control-expose-headers", "*");
  } else say("access-control-expose-headers", cors.exposeHeaders.join(", "));
  return fields;
}
