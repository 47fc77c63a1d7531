import { hasCleanLines, readFields } from "./field-lines.ts";

/** How the end of a body is found: there is none, after so many bytes, by its chunks, or where the connection ends. */
export type BodyEnd = "none" | "chunked" | "close" | number;

export interface ResponseHead {
  readonly status: number;
  /** Its reason phrase; may be "". */
  readonly reason: string;
  /** Name, value, name, value, one character a byte. */
  readonly fields: string[];
  readonly body: BodyEnd;
  /** The connection can take another request after this answer. */
  readonly reusable: boolean;
}

const statusLine = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([^\r\n]*))?$/;
const digits = /^\d{1,15}$/;

/**
 * Reads a header section of HTTP/1, without the empty line at its end. `undefined` when it is malformed, or may be read in more than one way:
 * several lengths, a length beside chunks, codings other than `chunked` (RFC 9112 section 6.3).
 */
export function readResponseHead(text: string, method: string): ResponseHead | undefined {
  if (!hasCleanLines(text)) return undefined;
  const first = text.indexOf("\r\n");
  const line = statusLine.exec(first < 0 ? text : text.slice(0, first));
  if (!line) return undefined;
  const fields = first < 0 ? [] : readFields(text, first + 2);
  if (!fields) return undefined;
  const status = Number(line[2]);
  let length: number | undefined;
  let chunked = false;
  let reusable = line[1] === "1";
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    // Three names matter, and few others are as long.
    if (name.length === 14 && name.toLowerCase() === "content-length") {
      if (length !== undefined || !digits.test(value)) return undefined;
      length = Number(value);
    } else if (name.length === 17 && name.toLowerCase() === "transfer-encoding") {
      if (chunked || value.toLowerCase() !== "chunked" || line[1] === "0") return undefined;
      chunked = true;
    } else if (name.length === 10 && name.toLowerCase() === "connection") {
      if (value.toLowerCase() !== "keep-alive") reusable = false;
    }
  }
  if (chunked && length !== undefined) return undefined;
  const body =
    method === "HEAD" || status < 200 || status === 204 || status === 304 ? "none" : chunked ? "chunked" : length;
  return { status, reason: line[3] ?? "", fields, body: body ?? "close", reusable: reusable && body !== undefined };
}

/** A trailer section, without the empty line at its end. `undefined` when it is malformed. */
export function readTrailers(text: string): string[] | undefined {
  return hasCleanLines(text) ? readFields(text) : undefined;
}
