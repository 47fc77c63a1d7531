import type { IncomingHttpHeaders } from "node:http";
import type { Duplex, Readable } from "node:stream";

import type { StatusError } from "../kube/index.ts";
import type { Impersonation } from "./authentication/index.ts";

/** Who asks, after authentication. */
export interface UserInfo {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** How a request came over the network: for answers that pass it on to somebody else. */
export interface Transport {
  /** All headers, as Node gives them. */
  readonly headers: IncomingHttpHeaders;
  /** Path and query as they came, still encoded. */
  readonly url: string;
  /** The body, unread: only where `ApiHandler.passesOn` said so. */
  readonly body?: Readable;
  /** The client asks to speak another protocol on this connection (HTTP/1.1 `Connection: Upgrade`); only then may the answer be an upgrade. */
  readonly upgrade: boolean;
}

/** A request that came over the network, as long as it goes on. */
export interface Origin {
  /** Name of the request in the logs: the client's own, or made up. */
  readonly auditId: string;
  /** Path and query as they came, still encoded. */
  readonly url: string;
  /** Where it came from: what proxies say, then the other end of the connection. */
  addresses(): string[];
  /** Go out with the answer, whatever it is. */
  readonly headers: Record<string, string>;
  /** Reads the body, which waits until somebody wants it. Absent: there is none, or it is passed on. Throws StatusError. */
  readonly readBody?: () => Promise<Uint8Array>;
  /** Calls `listener` when the answer was sent, or broke off. */
  onEnd(listener: () => void): void;
  /** Aborts the request's signal; a watch then ends in a regular way. */
  giveUp(reason: Error): void;
}

/** One request to the API, whatever way it came: TLS or a call in process. */
export interface ApiRequest {
  /** OPTIONS comes only where `ApiHandler.passesOn` said so. */
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS";
  /** Decoded path without query, for example `/api/v1/namespaces/default/pods`. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Absent: anonymous. */
  readonly user?: UserInfo;
  /** Whom the user asks to act for. */
  readonly impersonation?: Impersonation;
  /** Bytes as they came in, or, in process, an object: it is not changed and not kept. */
  readonly body?: Uint8Array | object;
  /** Aborts when the client has gone. It may be made when it is first looked at: who does not need it leaves it alone. */
  readonly signal: AbortSignal;
  /** Absent in process. */
  readonly transport?: Transport;
  /** Absent in process: then no limit holds but those of what is asked for. */
  readonly origin?: Origin;
  /** Keeps a remark of admission for the audit log. Absent: there is none. */
  readonly annotate?: (key: string, value: string) => void;
  /** Counts milliseconds in which the server itself had nothing to do with it: while webhooks were asked. */
  readonly waited?: (milliseconds: number) => void;
}

/** The same request with what became known of it. Its signal is not looked at. */
export function withKnown(
  request: ApiRequest,
  known: Pick<ApiRequest, "user" | "body" | "annotate" | "waited">,
): ApiRequest {
  const { method, path, query, headers, user, impersonation, body, transport, origin, annotate, waited } = request;
  return {
    method,
    path,
    query,
    headers,
    ...(user ? { user } : {}),
    ...(impersonation ? { impersonation } : {}),
    ...(body ? { body } : {}),
    ...(transport ? { transport } : {}),
    ...(origin ? { origin } : {}),
    ...(annotate ? { annotate } : {}),
    ...(waited ? { waited } : {}),
    ...known,
    get signal() {
      return request.signal;
    },
  };
}

/** A request that was turned away before it was known who asks, or what for. */
export type RefusedRequest = Pick<ApiRequest, "method" | "path" | "query" | "headers"> & { readonly origin: Origin };

export interface WatchFrame {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  /** Shared: must not be changed. */
  readonly object: object;
  /** The whole frame as it is sent: JSON with a line feed, or protobuf. Made once for all watchers that want the same form. */
  bytes(): Uint8Array;
}

/**
 * The frames of a watch as they come. Who has many watches to serve takes what is at hand and waits once for more; a single reader iterates.
 * Only one of the two ways may be used.
 */
export interface WatchFrames extends AsyncIterable<WatchFrame> {
  /** The next frame: at once, or as soon as it was made ready. `undefined`: there is none at hand, or the promise gave none; see `done`. */
  take(): WatchFrame | undefined | Promise<WatchFrame | undefined>;
  /** Settles when there may be more to take. To be called when `take` gave nothing. */
  more(): Promise<void>;
  /** No more will come (when `take` gave nothing). */
  readonly done: boolean;
  /** Nobody takes any more. To be called at the end of every watch that was begun to be taken. */
  close(): void;
}

export type ApiResponse = { readonly status: number; readonly headers: Readonly<Record<string, string>> } & (
  | {
      readonly type: "object";
      /** Shared: must not be changed. */
      readonly object: object;
      /** The object as `content-type` says, JSON most of all; where it is stored, the stored bytes. Lists are joined from stored bytes. */
      bytes(): Iterable<Uint8Array>;
      /** The object was made for this answer: it can as well be written in another encoding. */
      readonly whole?: boolean;
    }
  | { readonly type: "watch"; readonly frames: WatchFrames }
  | { readonly type: "stream"; readonly chunks: AsyncIterable<Uint8Array> }
  | {
      /** Status 101: after `headers` were sent the connection belongs to whoever takes it. */
      readonly type: "upgrade";
      /** Gets the client's connection and what came after the request. Settles when both ends are closed. Never throws. */
      take(socket: Duplex, head: Uint8Array): Promise<void>;
      /** Call it instead of `take` when the client has gone meanwhile. */
      drop(): void;
    }
);

/**
 * The API without its transport: authentication is done, everything else (authorization, admission, defaults,
 * validation, storage) happens here, so a caller in process goes through the same checks as one over TLS.
 * Errors are answers of type "object" with a Status; it never throws.
 */
export interface ApiHandler {
  handle(request: ApiRequest): Promise<ApiResponse>;
  /** Whether a request is passed on as it is, so that its body must be left unread, in `transport.body`. */
  passesOn?(request: Pick<ApiRequest, "method" | "path" | "query">): boolean;
  /** Told of requests that were answered with an error before they came here. */
  refused?(request: RefusedRequest, error: StatusError): void;
}
