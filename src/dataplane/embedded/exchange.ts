import { type IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";

export type Incoming = IncomingMessage | Http2ServerRequest;
export type Outgoing = ServerResponse | Http2ServerResponse;

/** Target of a request: where it says it wants to go. */
export interface Target {
  /** Host header, `:authority`, or the authority of an absolute-form target. */
  readonly host: string;
  readonly path: string;
  /** With its question mark, or "". */
  readonly query: string;
}

/** Without an authority, or with a user name, it is no good (RFC 9110 section 4.2). */
const absolute = /^https?:\/\/([^/?#@]+)([^?]*)/i;

/** Reads host and path of a request, or says why they are ambiguous (RFC 9112 sections 3.2 and 6.1, RFC 9113 section 8.3.1). */
export function readTarget(request: Incoming): Target | { readonly refused: string } {
  const url = request.url ?? "";
  const { rawHeaders } = request;
  let host: string | undefined;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length !== 4 || name.toLowerCase() !== "host") continue;
    if (host !== undefined) return { refused: "there is more than one Host header" };
    host = rawHeaders[i + 1] as string;
  }
  if ("authority" in request && request.authority) {
    if (host !== undefined && host !== request.authority) return { refused: "Host and :authority differ" };
    host = request.authority;
  }
  // The parser takes lines of HTTP/0.9 and of versions that do not begin with one.
  if (!("stream" in request) && request.httpVersion !== "1.1" && request.httpVersion !== "1.0")
    return { refused: "the version is not one of HTTP/1" };
  if (url.includes("#")) return { refused: "the request target has a fragment" };
  const encoding = request.headers["transfer-encoding"];
  if (encoding !== undefined) {
    if (request.httpVersion === "1.0") return { refused: "HTTP/1.0 has no Transfer-Encoding" };
    if (encoding.toLowerCase() !== "chunked") return { refused: "the only Transfer-Encoding is chunked" };
  }
  let rest = url;
  if (url[0] !== "/") {
    const parts = absolute.exec(url);
    if (!parts) return { refused: "the request target is not a path" };
    host = parts[1] as string;
    rest = `${parts[2] || "/"}${url.slice(parts[0].length)}`;
  }
  const mark = rest.indexOf("?");
  return mark < 0
    ? { host: host ?? "", path: rest, query: "" }
    : { host: host ?? "", path: rest.slice(0, mark), query: rest.slice(mark) };
}

/** True when a body follows, however long. */
export function hasBody(request: Incoming): boolean {
  if ("stream" in request) return !request.stream.endAfterHeaders;
  const length = request.headers["content-length"];
  return request.headers["transfer-encoding"] !== undefined || (length !== undefined && length !== "0");
}

/** Ends the client's connection or stream in the middle of an answer, so that it cannot be taken for a whole one. */
export function cutOff(response: Outgoing): void {
  if (response instanceof ServerResponse) response.destroy();
  else response.stream.close(2);
}

/** Streams of HTTP/2 that end when their time is over. */
const watched = new WeakSet<object>();

/** While `waiting`, a client that moves no byte for `ms` loses its connection, or its HTTP/2 stream. */
export function watchIdle(request: Incoming, waiting: boolean, ms: number): void {
  const { stream } = request as { stream?: Http2ServerRequest["stream"] };
  if (!stream) {
    request.socket?.setTimeout(waiting ? ms : 0);
    return;
  }
  // Node's own layer listens as well, and does nothing.
  if (waiting && !watched.has(stream)) {
    watched.add(stream);
    stream.on("timeout", () => stream.close(8));
  }
  if (!stream.destroyed) stream.setTimeout(waiting ? ms : 0);
}

/** Ends an answer. A client that takes no byte of what is left of it for `ms` loses its connection, or its HTTP/2 stream. */
export function endAnswer(request: Incoming, response: Outgoing, ms: number, last?: string | Buffer): void {
  if (last === undefined) response.end();
  else response.end(last);
  // Over HTTP/1.1 nothing is left as a rule: the kernel has it. A window of HTTP/2 may be shut for good.
  if (response instanceof ServerResponse && response.writableLength === 0) return;
  if (!response.writableFinished) watchIdle(request, true, ms);
}

/** After an answer that came before the end of its request: what is left of the request is read for `ms`, and no longer. */
export function lingerFor(request: Incoming, response: Outgoing, ms: number): void {
  const timer = setTimeout(() => {
    if (response instanceof ServerResponse) request.socket?.destroy();
    else response.stream.close(0);
  }, ms);
  request.once("close", () => clearTimeout(timer));
}
