import { request as plainRequest, type ClientRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as tlsRequest } from "node:https";
import type { Duplex, Readable } from "node:stream";
import { statusError } from "../../kube/index.ts";
import type { ApiRequest, ApiResponse } from "../handler.ts";
import { trust } from "../../system/index.ts";
import { endToEnd, withoutCredentials, type Headers } from "./hop-by-hop.ts";
import { splice } from "./splice.ts";

/** Whom a request is passed on to. */
export interface Backend {
  readonly host: string;
  readonly port: number;
  /** Absent: plain HTTP. */
  readonly tls?: {
    /** Authorities that its certificate must be signed by, PEM; without them it is not checked, as upstream's proxy. */
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly servername?: string;
  };
}

export interface PassOnOptions {
  readonly backend: Backend;
  /** Encoded, with query. */
  readonly path: string;
  /** Added to the request, or put in place of its own. */
  readonly headers?: Headers;
  /** Names the other end in errors. */
  readonly name: string;
  /** What is made of an answer that is no upgrade. */
  readonly change?: (answer: PassedAnswer) => PassedAnswer;
}

/** An answer on its way through. */
export interface PassedAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** Milliseconds until a connection must be there. */
const patience = 30_000;

/**
 * Sends a request on as it came, without what concerns its connection and without its credentials, and answers what comes back: redirects are not
 * followed. The body goes through as it comes. Throws StatusError ServiceUnavailable when the backend cannot be reached.
 */
export async function passOn(request: ApiRequest, options: PassOnOptions): Promise<ApiResponse> {
  const { backend, path, name, change = (answer) => answer } = options;
  const { transport, method, signal } = request;
  const incoming = transport?.headers ?? request.headers;
  const upgrade = transport?.upgrade === true ? (transport.headers.upgrade ?? "") : "";
  const headers: Headers = {
    ...withoutCredentials(endToEnd(incoming)),
    ...(upgrade ? { connection: "Upgrade", upgrade } : {}),
    ...options.headers,
  };
  // HTTP/2 has its own name for it; both mean the site that the client asked.
  const authority = transport?.headers[":authority"];
  if (headers["host"] === undefined && typeof authority === "string") headers["host"] = authority;

  let asked: ClientRequest;
  try {
    asked = open(backend, { method, path, headers, agent: false, signal, setHost: headers["host"] === undefined });
  } catch (error) {
    throw statusError("BadRequest", `the request can not be passed on: ${(error as Error).message}`);
  }
  const body = hasBody(request) ? transport?.body : undefined;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => asked.destroy(new Error("no connection in time")), patience);
    asked.on("socket", (socket) => {
      const connected = backend.tls ? "secureConnect" : "connect";
      socket.once(connected, () => clearTimeout(timer));
    });
    asked.on("error", (error) => {
      clearTimeout(timer);
      reject(unreachable(name, error));
    });
    asked.once("upgrade", (answer: IncomingMessage, socket: Duplex, head: Buffer) => {
      clearTimeout(timer);
      if (!upgrade) {
        socket.destroy();
        reject(unreachable(name, new Error("it changes the protocol without being asked")));
      } else resolve(upgraded(answer, socket, head));
    });
    asked.once("response", (answer: IncomingMessage) => {
      clearTimeout(timer);
      answer.on("error", () => {});
      const passed = { status: answer.statusCode ?? 502, headers: endToEnd(answer.headers), chunks: answer };
      const { status, headers: shown, chunks } = change(passed);
      resolve({ type: "stream", status, headers: shown as Record<string, string>, chunks });
    });
    if (body) {
      const length = headers["content-length"];
      sendBody(body, asked, length === undefined ? undefined : Number(length)).catch((error: unknown) =>
        asked.destroy(error as Error),
      );
    } else asked.end();
  });
}

/**
 * Sends a body as fast as it is taken. Not one byte more or less than was announced reaches the backend: what follows could be read there as
 * another request. Rejects when the body is cut off or has another length.
 */
async function sendBody(body: Readable, to: ClientRequest, length: number | undefined): Promise<void> {
  let sent = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    sent += chunk.length;
    if (length !== undefined && sent > length) throw new Error("the body is longer than it was announced");
    if (to.destroyed) return;
    if (!to.write(chunk)) await takesMore(to);
  }
  if (length !== undefined && sent < length) throw new Error("the body is shorter than it was announced");
  to.end();
}

/** Settles when more can be written, or never can. */
function takesMore(to: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      to.off("drain", done);
      to.off("close", done);
      resolve();
    };
    to.on("drain", done);
    to.on("close", done);
  });
}

function open({ host, port, tls }: Backend, options: RequestOptions): ClientRequest {
  const target = { ...options, host, port };
  if (!tls) return plainRequest(target);
  const { ca, cert, key, servername } = tls;
  return tlsRequest({
    ...target,
    rejectUnauthorized: ca !== undefined,
    ...trust(ca),
    ...(cert === undefined ? {} : { cert, key }),
    ...(servername === undefined ? {} : { servername }),
  });
}

/** Whether a request brings a body, by its own headers; HTTP/2 may bring one without announcing its length. */
function hasBody({ transport, method }: ApiRequest): boolean {
  if (!transport?.body || transport.upgrade) return false;
  const { headers } = transport;
  if (headers["content-length"] !== undefined) return headers["content-length"] !== "0";
  return (
    headers["transfer-encoding"] !== undefined ||
    (headers[":method"] !== undefined && method !== "GET" && method !== "HEAD")
  );
}

function upgraded(answer: IncomingMessage, socket: Duplex, head: Buffer): ApiResponse {
  socket.on("error", () => {});
  if (head.length > 0) socket.unshift(head);
  const headers = { ...endToEnd(answer.headers), connection: "Upgrade", upgrade: answer.headers.upgrade ?? "" };
  return {
    type: "upgrade",
    status: 101,
    headers,
    drop: () => void socket.destroy(),
    take(client, early) {
      if (early.length > 0) client.unshift(early);
      return splice(client, socket);
    },
  };
}

function unreachable(name: string, error: Error): Error {
  return statusError("ServiceUnavailable", `error trying to reach ${name}: ${error.message}`, {});
}
