import type { Pool, Route } from "../../routing/index.ts";
import type { Finished } from "../finished.ts";
import { type ModelIndex, plainRoute } from "../reports.ts";
import type { Traced } from "../tracing/span.ts";
import { readTraceparent } from "../tracing/trace-context.ts";
import { traceFormat } from "./trace-rules.ts";

/** Header fields of requests that are reported. */
const fields = ["user-agent", "referer", "traceparent"];

const json = (expression: string): string => `"%[${expression},json(ascii)]"`;

/**
 * What is noted of a request when it comes, as members of a JSON object: its fields are gone when it is done. The converter lets no
 * byte of a client's out of its string.
 */
export const noteFormat = (tracing: boolean, target = "pathq"): string =>
  [
    `,"method":${json("method")},"host":${json("req.fhdr(host)")},"target":${json(target)}`,
    `,"protocol":"HTTP/%[req.ver,json(ascii)]"`,
    ...[...fields, ...(tracing ? ["tracestate"] : [])].map((name) => `,"${name}":${json(`req.fhdr(${name})`)}`),
  ].join("");

/** Variable of the client behind forwarders that are trusted. */
export const clientVariable = "txn.client";

/** A line for each request that is done. */
export function reportFormat(trusting: boolean, tracing: boolean): string {
  return [
    `{"id":${json("var(txn.id)")}%[var(txn.note)]${tracing ? traceFormat : ""},"frontend":"%f","backend":"%b","item":"%[var(txn.item)]"`,
    `,"client":${trusting ? json(`var(${clientVariable})`) : '"%ci"'},"code":%ST,"bytes":%B,"began":%TR,"took":%Ta`,
    `,"end":"%ts","server":"%s","address":"%si","port":"%sp"}`,
  ].join("");
}

/** Where words of HAProxy's lead back to. */
export interface ReportIndex extends ModelIndex {
  /** Pool key of a backend. */
  poolOf(slot: string): string | undefined;
  /** Routes whose row has this key. */
  withRow(item: string): readonly Route[];
}

/** What a line says; `undefined` for one that is no report, as HAProxy has lines of its own. */
export function readReport(line: string, index: ReportIndex): Finished | undefined {
  let said: Readonly<Record<string, unknown>>;
  try {
    said = JSON.parse(line) as typeof said;
  } catch {
    return undefined;
  }
  // What is not there is a dash.
  const text = (name: string): string => (typeof said[name] === "string" && said[name] !== "-" ? said[name] : "");
  const number = (name: string): number => (typeof said[name] === "number" ? said[name] : 0);
  const frontend = text("frontend").replace(/~$/, "");
  const method = text("method");
  const host = text("host");
  const target = text("target");
  // The client left before there was an answer (`CD`: while it was sent).
  const left = text("end").startsWith("C") && text("end") !== "CD";
  const code = number("code");
  const key = index.poolOf(text("backend"));
  const pool: Pool | undefined = key === undefined ? undefined : index.pool(key);
  const item = text("item");
  const listener = index.listener(frontend);
  const route = listener && (item === "" ? plainRoute(listener, { host, target, method }) : rowRoute());
  const server = text("server");
  // Reading the header section is not in it.
  const milliseconds = Math.max(0, number("took") - Math.max(0, number("began")));
  const trace =
    listener && method !== ""
      ? tracedBy(text, listener.protocol === "HTTP" ? "http" : "https", milliseconds)
      : undefined;
  return {
    id: text("id"),
    method,
    host,
    target,
    protocol: text("protocol"),
    client: text("client"),
    header: (name) => text(name) || undefined,
    ...(route ? { route } : {}),
    ...(pool ? { pool } : {}),
    ...(server === "" || server.startsWith("<") ? {} : { endpoint: addressOf(text("address"), text("port")) }),
    code: left || code < 100 ? 499 : code,
    bytes: number("bytes"),
    milliseconds,
    ...(trace ? { trace } : {}),
  };

  /** Rows that say the same are one row. */
  function rowRoute(): Route | undefined {
    const [first, ...more] = index.withRow(item);
    if (more.length === 0 || !listener) return first;
    const asked = plainRoute(listener, { host, target, method })?.host ?? host.toLowerCase().replace(/:\d*$/, "");
    return [...(first ? [first] : []), ...more].find((route) => route.host === asked) ?? first;
  }
}

/** Where it is in a trace, when it was looked at that far. */
function tracedBy(text: (name: string) => string, scheme: string, milliseconds: number): Traced | undefined {
  const sent = readTraceparent(text("traceparent-sent"));
  const parentId = text("parent");
  const began = Number(text("at")) / 1_000;
  return sent && began > 0
    ? { ...sent, ...(parentId === "" ? {} : { parentId }), scheme, ended: began + milliseconds }
    : undefined;
}

function addressOf(address: string, port: string): string {
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}
