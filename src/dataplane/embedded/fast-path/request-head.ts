import { hasCleanLines, readFields } from "./field-lines.ts";

/** A request that can mean one thing only: whole, of HTTP/1.1, in its plainest form. */
export interface PlainRequest {
  readonly method: string;
  readonly host: string;
  /** Without the query. */
  readonly path: string;
  /** With its question mark, or "". */
  readonly query: string;
  /** Name, value, name, value, as they were sent. */
  readonly rawHeaders: readonly string[];
  /** By name in lower case; no name comes twice. */
  readonly fields: ReadonlyMap<string, string>;
  /** One character a byte; "" for none. */
  readonly body: string;
}

const requestLine = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (\/[!"$-~]*) HTTP\/1\.1\r\n/;
/** Have a body, or say that they have none; the others have none here. */
const bodied = new Set(["POST", "PUT", "PATCH"]);
const digits = /^\d{1,9}$/;
/** These say more than that a message has fields: about its body, its connection, or what its client can do. */
const decisive = new Set([
  "transfer-encoding",
  "expect",
  "upgrade",
  "http2-settings",
  "te",
  "trailer",
  "proxy-connection",
  "keep-alive",
]);

/**
 * Reads what one read of a connection has brought, one character a byte. `undefined` for whatever is not the plainest form of a whole
 * request: that is for the parser that knows all forms (RFC 9112), and the bytes say nothing about being right or wrong.
 * `longest`: bytes of a header section.
 */
export function readPlainRequest(text: string, longest: number): PlainRequest | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0 || end > longest) return undefined;
  const head = text.slice(0, end + 2);
  if (!hasCleanLines(head)) return undefined;
  const line = requestLine.exec(head);
  const rawHeaders = line && readFields(head, line[0].length);
  if (!rawHeaders) return undefined;
  const fields = new Map<string, string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase();
    const value = rawHeaders[i + 1] as string;
    if (fields.has(name) || decisive.has(name)) return undefined;
    if (name === "connection" && value.toLowerCase() !== "keep-alive") return undefined;
    fields.set(name, value);
  }
  const host = fields.get("host");
  const method = line[1] as string;
  const body = text.slice(end + 4);
  const length = fields.get("content-length");
  if (host === undefined || bodied.has(method) !== (length !== undefined)) return undefined;
  // All of the body has come, and nothing of another request.
  if (length === undefined ? body !== "" : !digits.test(length) || Number(length) !== body.length) return undefined;
  const target = line[2] as string;
  const mark = target.indexOf("?");
  return {
    method,
    body,
    host,
    path: mark < 0 ? target : target.slice(0, mark),
    query: mark < 0 ? "" : target.slice(mark),
    rawHeaders,
    fields,
  };
}
