import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { constants, type IncomingHttpHeaders as Http2Headers, type ServerHttp2Stream } from "node:http2";
import type { Readable, Writable } from "node:stream";
import type { TLSSocket } from "node:tls";
import { drain } from "./body.ts";

/** A request as it arrived, and the way to answer it: the same for HTTP/1.1 and HTTP/2. */
export interface Arrival {
  readonly method: string;
  /** Path and query, still encoded. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, as they were sent. */
  readonly rawHeaders: readonly string[];
  readonly socket: TLSSocket;
  readonly body: Readable;
  readonly answer: HttpAnswer;
  /** HTTP/1.1: an answer may end the connection. */
  readonly ownsConnection: boolean;
  /** Takes in, within limits, what was sent and nobody has read. To be called when the answer is written. */
  finish(): void;
}

/** Where an answer goes. */
export interface HttpAnswer {
  /** Sends the head, with the first bytes of the body where there are some. Does nothing when the client has gone. */
  head(status: number, headers: Record<string, string | number>): void;
  /** Takes the body. */
  readonly body: Writable;
}

export function http1Arrival(incoming: IncomingMessage, outgoing: ServerResponse): Arrival {
  return {
    method: incoming.method ?? "GET",
    url: incoming.url ?? "/",
    headers: incoming.headers,
    rawHeaders: incoming.rawHeaders,
    socket: incoming.socket as TLSSocket,
    body: incoming,
    answer: {
      head: (status, headers) => void outgoing.writeHead(status, headers),
      body: outgoing,
    },
    ownsConnection: true,
    finish() {
      if (incoming.complete) incoming.resume();
      else drain(incoming);
    },
  };
}

/** Headers that are about a connection: HTTP/2 has none of them (RFC 9113 section 8.2.2). */
const ofConnections = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/**
 * A stream of HTTP/2, without the layer that makes it look like HTTP/1.1: that costs as much as all the rest of a small request.
 * `session` is asked for the socket at once: a stream that has ended has none.
 */
export function http2Arrival(
  stream: ServerHttp2Stream,
  headers: Http2Headers,
  flags: number,
  rawHeaders: readonly string[],
): Arrival {
  const isWhole = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
  if (!isWhole && headers.expect === "100-continue") stream.additionalHeaders({ ":status": 100 });
  return {
    method: headers[":method"] ?? "GET",
    url: headers[":path"] ?? "/",
    headers,
    rawHeaders,
    // A stand-in for it would do no more than hide what is dangerous to call.
    socket: stream.session?.socket as TLSSocket,
    body: stream,
    answer: {
      head(status, given) {
        if (stream.destroyed || stream.closed || stream.headersSent) return;
        for (const name of ofConnections) if (name in given) delete given[name];
        given[":status"] = status;
        stream.respond(given);
      },
      body: stream,
    },
    ownsConnection: false,
    finish() {
      // A request without body is left unread: Node then ends the stream by itself when the answer is out. One that has been read to its
      // end is torn down before its answer is known to be out, for which Node makes an error that nobody sees.
      if (!isWhole && !stream.readableEnded) drain(stream);
    },
  };
}
