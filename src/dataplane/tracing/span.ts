import type { Route } from "../../routing/index.ts";
import type { Finished } from "../finished.ts";
import { isSampled, isTracestate, type TraceContext } from "./trace-context.ts";

/** What is known of a request besides, where requests are traced. */
export interface Traced extends TraceContext {
  /** `http` or `https`, as the client has spoken. */
  readonly scheme: string;
  /** Milliseconds since the epoch at which it was done; they may have fractions. */
  readonly ended: number;
}

/** A value of OTLP as JSON has it: whole numbers are texts. */
export type AttributeValue = { readonly stringValue: string } | { readonly intValue: string };

export interface Attribute {
  readonly key: string;
  readonly value: AttributeValue;
}

/** `opentelemetry.proto.trace.v1.Span`, as OTLP writes it in JSON: ids in hexadecimal, enumerations as numbers. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceState?: string;
  readonly parentSpanId?: string;
  readonly flags: number;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly Attribute[];
  readonly status?: { readonly code: number };
}

const kindServer = 2;
const statusError = 2;
/** Whether the parent is of another process is known, and it is. */
const remote = { known: 0x100, yes: 0x200 } as const;

/** Methods with a name of their own (RFC 9110, and PATCH); of others any number could be made up. */
const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Characters of what clients say, as far as they are told. */
const longest = { path: 2_048, field: 512 } as const;

export const textAttribute = (key: string, value: string): Attribute => ({ key, value: { stringValue: value } });
const number = (key: string, value: number): Attribute => ({ key, value: { intValue: String(value) } });

/**
 * The span of a request that is done, by OpenTelemetry's semantic conventions for HTTP servers; which object led it is said in attributes
 * of our own (`fairlead.`). `undefined` for one that is not recorded.
 */
export function spanOf(finished: Finished): Span | undefined {
  const { trace, method, target, host, route, pool, endpoint, code, protocol, milliseconds } = finished;
  if (!trace || !isSampled(trace)) return undefined;
  const known = methods.has(method);
  const template = route && templateOf(route);
  const failed = code >= 500;
  const mark = target.indexOf("?");
  const path = pathOf(mark < 0 ? target : target.slice(0, mark));
  const query = mark < 0 ? "" : target.slice(mark + 1);
  const { address, port } = authorityOf(host);
  const state = finished.header("tracestate");
  const { kind = "", namespace, name = "" } = route?.owner.object ?? {};
  const texts: readonly (readonly [key: string, value: string | undefined])[] = [
    ["http.request.method", known ? method : "_OTHER"],
    ["http.request.method_original", known ? undefined : method.slice(0, 32)],
    ["url.scheme", trace.scheme],
    ["url.path", path.slice(0, longest.path)],
    ["url.query", withoutSecrets(query).slice(0, longest.path)],
    ["http.route", template],
    ["server.address", address.slice(0, longest.field)],
    ["client.address", finished.client],
    ["network.protocol.version", versionOf(protocol)],
    ["user_agent.original", finished.header("user-agent")?.slice(0, longest.field)],
    // Who has left has not been answered, and that is no fault of the server.
    ["error.type", failed || code === 499 ? String(code) : undefined],
    ["fairlead.request.id", finished.id],
    ["fairlead.route.kind", kind],
    ["fairlead.route.namespace", namespace],
    ["fairlead.route.name", name],
    ["fairlead.route.rule", route?.owner.field],
    ["fairlead.backend", pool && `${pool.service.namespace}/${pool.service.name}:${pool.port}`],
    ["fairlead.endpoint", endpoint],
  ];
  const numbers: readonly (readonly [key: string, value: number | undefined])[] = [
    ["server.port", port],
    ["http.response.status_code", code === 499 ? undefined : code],
  ];
  return {
    traceId: trace.traceId,
    spanId: trace.spanId,
    ...(trace.parentId !== undefined && state !== undefined && isTracestate(state) ? { traceState: state } : {}),
    ...(trace.parentId === undefined ? {} : { parentSpanId: trace.parentId }),
    flags: trace.flags | remote.known | (trace.parentId === undefined ? 0 : remote.yes),
    name: nameOf(route, known ? method : "HTTP"),
    kind: kindServer,
    startTimeUnixNano: nanoseconds(trace.ended - milliseconds),
    endTimeUnixNano: nanoseconds(trace.ended),
    attributes: [
      ...texts.flatMap(([key, value]) => (value ? [textAttribute(key, value)] : [])),
      ...numbers.flatMap(([key, value]) => (value === undefined ? [] : [number(key, value)])),
    ],
    ...(failed ? { status: { code: statusError } } : {}),
  };
}

/** What its rule calls it, or else method and path; the method is all that a request says of it. */
function nameOf(route: Route | undefined, method: string): string {
  if (!route) return method;
  const { spanName } = route.rule;
  if (!spanName) return `${method} ${templateOf(route)}`;
  return spanName.map((part) => (typeof part === "string" ? part : method)).join("");
}

/** The path as its object has it: what ingress-nginx's expressions mean is written around them. */
const templateOf = ({ path }: Route): string => path?.value.replace(/^\(\?i\)\(\?:(.+)\)\.\*$/, "$1") || "/";

/** Nanoseconds since the epoch are more than a number holds exactly: microseconds are not. */
const nanoseconds = (milliseconds: number): string => `${Math.max(0, Math.round(milliseconds * 1_000))}000`;

/** `1.1`, `2`: from the second on a version is one number. */
const versionOf = (protocol: string): string | undefined =>
  /^HTTP\/(\d(?:\.\d)?)$/.exec(protocol)?.[1]?.replace(/^([2-9])\.0$/, "$1");

/** Of a target, which may be absolute. */
const pathOf = (target: string): string => target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, "") || "/";

function authorityOf(host: string): { readonly address: string; readonly port?: number } {
  const [, address = host, digits] = /^(.*?)(?::(\d{1,5}))?$/.exec(host) ?? [];
  const bare = address.startsWith("[") && address.endsWith("]") ? address.slice(1, -1) : address;
  return { address: bare, ...(digits === undefined ? {} : { port: Number(digits) }) };
}

/** Parameters that are signatures, as the conventions name them. */
const secret = /(^|&)(AWSAccessKeyId|Signature|sig|X-Goog-Signature)=[^&]*/g;
const withoutSecrets = (query: string): string => query.replace(secret, "$1$2=REDACTED");
