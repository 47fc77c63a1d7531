// What the bytes of a request mean, read by RFC 9112 alone and with no leniency: the judge of three parsers.

/** A request that has one meaning. */
export interface Reading {
  readonly method: string;
  readonly version: "1.0" | "1.1";
  /** Authority of the target, else the Host field. */
  readonly host: string;
  readonly path: string;
  /** With its question mark, or "". */
  readonly query: string;
  /** By name in lower case; several values joined with `, `. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A request that has none, or that a recipient may refuse (section 11.2); and what is wrong with it. */
export interface Refused {
  readonly refused: string;
  /** The request without its body, when it is only that which is wrong: an answer may be older than the fault. */
  readonly head?: Reading;
  /** The one meaning that the RFC gives it for whoever does not refuse it. */
  readonly otherwise?: Reading;
}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// oxlint-disable-next-line no-control-regex
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;

export function readRequest(bytes: string): Reading | Refused {
  const strict = read(bytes, false);
  if (!("refused" in strict)) return strict;
  const lenient = read(bytes, true);
  return "refused" in lenient ? strict : { ...strict, otherwise: lenient };
}

/**
 * `lenient`: a bare LF ends a line (section 2.2), folded lines are one (5.2), Transfer-Encoding overrides Content-Length
 * (6.3), the same Content-Length counts once (RFC 9110 section 8.6), and bytes that no URI has are data of the target.
 */
function read(bytes: string, lenient: boolean): Reading | Refused {
  const ends = lenient ? /\r?\n\r?\n/ : /\r\n\r\n/;
  const blank = ends.exec(bytes);
  if (!blank) return { refused: "lines do not end with CR LF" };
  const head = bytes.slice(0, blank.index);
  const unfolded = lenient ? head.replaceAll(/\r?\n[\t ]+/g, " ") : head;
  const [line = "", ...fields] = unfolded.split(lenient ? /\r?\n/ : "\r\n");
  const [method = "", target = "", protocol = "", ...more] = line.split(" ");
  if (!token.test(method)) return { refused: "method" };
  if (more.length > 0) return { refused: "a space in the target" };
  if (protocol !== "HTTP/1.1" && protocol !== "HTTP/1.0") return { refused: "version" };
  const headers: Record<string, string[]> = {};
  for (const field of fields) {
    const colon = field.indexOf(":");
    const name = field.slice(0, Math.max(colon, 0));
    const value = field.slice(colon + 1).replaceAll(/^[\t ]+|[\t ]+$/g, "");
    if (!token.test(name)) return { refused: "field name" };
    // Control characters other than these may be kept (RFC 9110 section 5.5).
    // oxlint-disable-next-line no-control-regex
    if (lenient ? /[\0\r\n]/.test(value) : !fieldValue.test(value)) return { refused: "field value" };
    (headers[name.toLowerCase()] ??= []).push(value);
  }
  const named = headers.host ?? [];
  if (named.length > 1 || (named.length === 0 && protocol === "HTTP/1.1")) return { refused: "Host" };
  // oxlint-disable-next-line no-control-regex
  if (!lenient && /[\x80-\xff]/.test(target)) return { refused: "a byte that no URI has" };
  const at = readTarget(target, method);
  if ("refused" in at) return at;
  const body = readBody(bytes.slice(blank.index + blank[0].length), headers, protocol, lenient);
  const reading = {
    method,
    version: protocol === "HTTP/1.0" ? "1.0" : "1.1",
    host: at.authority ?? named[0] ?? "",
    path: at.path,
    query: at.query,
    headers: Object.fromEntries(Object.entries(headers).map(([name, values]) => [name, values.join(", ")])),
  } as const;
  if (typeof body === "string") return { ...reading, body };
  return { ...body, head: { ...reading, body: "" } };
}

function readTarget(target: string, method: string): { authority?: string; path: string; query: string } | Refused {
  if (target === "*") return { refused: method === "OPTIONS" ? "the server as a whole" : "asterisk" };
  // oxlint-disable-next-line no-control-regex
  if (/[\0-\x20\x7f#]/.test(target)) return { refused: "a character that no target has" };
  const absolute = /^https?:\/\/([^/?#@]+)(.*)$/is.exec(target);
  const rest = absolute ? (absolute[2] ?? "") : target;
  const path = rest.replace(/\?.*$/s, "") || (absolute ? "/" : "");
  if (!path.startsWith("/")) return { refused: "a target that is no path" };
  return { ...(absolute ? { authority: absolute[1] ?? "" } : {}), path, query: /\?.*$/s.exec(rest)?.[0] ?? "" };
}

function readBody(
  rest: string,
  headers: Record<string, string[]>,
  protocol: string,
  lenient: boolean,
): string | Refused {
  const { "content-length": lengths, "transfer-encoding": codings } = headers;
  if (codings) {
    if (lengths && !lenient) return { refused: "both Content-Length and Transfer-Encoding" };
    if (protocol === "HTTP/1.0") return { refused: "a coding in HTTP/1.0" };
    if (codings.length > 1 || codings[0]?.toLowerCase() !== "chunked") return { refused: "coding" };
    return readChunks(rest, lenient);
  }
  if (!lengths) return "";
  const [length = "", ...others] = lenient ? lengths.flatMap((each) => each.split(/[\t ]*,[\t ]*/)) : lengths;
  if (others.length > 0 && !(lenient && others.every((other) => other === length)))
    return { refused: "several Content-Lengths" };
  if (!/^\d{1,15}$/.test(length)) return { refused: "Content-Length" };
  if (rest.length < Number(length)) return { refused: "the body is not whole" };
  return rest.slice(0, Number(length));
}

function readChunks(rest: string, lenient: boolean): string | Refused {
  const lineEnd = lenient ? /^\r?\n/ : /^\r\n/;
  let at = 0;
  let body = "";
  for (;;) {
    const size = /^([0-9A-Fa-f]{1,8})([\t ]*)(?:;[\t\x20-\x7e]*)?(\r?\n)/.exec(rest.slice(at));
    if (!size || !lineEnd.test(size[3] ?? "") || (!lenient && size[2] !== "")) return { refused: "chunk size" };
    at += size[0].length;
    const length = Number.parseInt(size[1] ?? "", 16);
    if (length > 0) body += rest.slice(at, at + length);
    at += length;
    const end = lineEnd.exec(rest.slice(at));
    if (!end) return { refused: "chunk end" };
    at += end[0].length;
    if (length === 0) return body;
  }
}
