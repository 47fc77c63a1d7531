import { type TraceContext, writeTraceparent } from "../tracing/trace-context.ts";
import type { ForwardedFor } from "./forwarded.ts";

/** Header fields as node has them on the wire: name, value, name, value. */
export type RawHeaders = readonly string[];

// Meant for one connection only (RFC 9110 section 7.6.1).
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
  "expect",
  // No standard has it; to programs of CGI it would be the variable HTTP_PROXY (CVE-2016-5385).
  "proxy",
]);

// What we say about the client ourselves. Compared with `_` as `-`: to a CGI-like backend both are the same variable.
const ours = new Set([
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-proto",
  "x-real-ip",
  "x-request-id",
  // Ours where an Ingress's controller says so: ingress-nginx writes them, and programs behind it believe them.
  "x-forwarded-scheme",
  "x-scheme",
]);

/** Names that a Connection header makes hop-by-hop. It cannot take away what the proxy itself writes. */
function namedByConnection(headers: RawHeaders): Set<string> | undefined {
  let named: Set<string> | undefined;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    if (name.length !== 10 || name.toLowerCase() !== "connection") continue;
    for (const token of (headers[i + 1] as string).split(",")) {
      const lower = token.trim().toLowerCase();
      if (lower === "keep-alive" || lower === "close" || lower === "") continue;
      (named ??= new Set()).add(lower);
    }
  }
  return named;
}

/**
 * The fields of a request as its backend gets them. HTTP/2 pseudo fields are left out. `trace`: where it is in which trace; without it the
 * client's own word is passed on.
 */
export function requestHeaders(
  headers: RawHeaders,
  host: string,
  client: ForwardedFor,
  requestId: string,
  trace?: TraceContext,
): string[] {
  const named = namedByConnection(headers);
  const out = ["host", host];
  let trailers = false;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const value = headers[i + 1] as string;
    const lower = name.toLowerCase();
    if (lower === "host" || lower[0] === ":") continue;
    if (lower === "te" && /(?:^|,)\s*trailers\s*(?:;|,|$)/i.test(value)) trailers = true;
    if (hopByHop.has(lower) || named?.has(lower)) continue;
    if (ours.has(lower.includes("_") ? lower.replaceAll("_", "-") : lower)) continue;
    // What vendors say of a trace is meant for that trace only.
    if (trace && (lower === "traceparent" || (lower === "tracestate" && trace.parentId === undefined))) continue;
    out.push(name, value);
  }
  if (trailers) out.push("te", "trailers");
  out.push("x-forwarded-for", client.for, "x-forwarded-proto", client.proto);
  if (client.host !== "") out.push("x-forwarded-host", client.host);
  out.push("x-forwarded-port", client.port, "x-real-ip", client.realIp, "x-request-id", requestId);
  if (trace) out.push("traceparent", writeTraceparent(trace));
  return out;
}

/** The fields of a response, or its trailers, as the client gets them. `raw` holds bytes, as the backend sent them. */
export function responseHeaders(raw: readonly (Buffer | string)[]): string[] {
  const headers = raw.map((part) => (typeof part === "string" ? part : part.toString("latin1")));
  const named = namedByConnection(headers);
  let out = headers;
  let chunked = false;
  for (let i = 0; i < headers.length; i += 2) {
    const lower = (headers[i] as string).toLowerCase();
    if (lower === "transfer-encoding") chunked = true;
    const dropped = hopByHop.has(lower) || named?.has(lower);
    if (dropped && out === headers) out = headers.slice(0, i);
    else if (!dropped && out !== headers) out.push(headers[i] as string, headers[i + 1] as string);
  }
  // Only one of the two may say where the body ends, and the parser went by Transfer-Encoding. Without it there can
  // be no trailers to announce.
  return without(out, chunked ? "content-length" : "trailer");
}

/** @param name in lower case */
export function hasField(headers: RawHeaders, name: string): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    const candidate = headers[i] as string;
    if (candidate.length === name.length && candidate.toLowerCase() === name) return true;
  }
  return false;
}

function without(headers: string[], name: string): string[] {
  for (let i = headers.length - 2; i >= 0; i -= 2) {
    const candidate = headers[i] as string;
    if (candidate.length === name.length && candidate.toLowerCase() === name) headers.splice(i, 2);
  }
  return headers;
}

/** As an object, for HTTP/2 and wherever a list will not do. A field that comes more than once has several values. */
export function headerObject(headers: RawHeaders): Record<string, string | string[]> {
  const object: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>;
  for (let i = 0; i < headers.length; i += 2) {
    const name = (headers[i] as string).toLowerCase();
    const value = headers[i + 1] as string;
    const before = object[name];
    if (before === undefined) object[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else object[name] = [before, value];
  }
  return object;
}
