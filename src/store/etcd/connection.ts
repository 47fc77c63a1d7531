import {
  connect,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
} from "node:http2";
import { trust } from "../../system/index.ts";
import { GrpcError, statusUnavailable } from "./errors.ts";

/** How etcd is spoken to over TLS; all PEM. */
export interface EtcdTls {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
}

export interface ConnectionOptions {
  /** `http://127.0.0.1:2379` or `https://...`. */
  readonly endpoint: string;
  readonly tls?: EtcdTls | undefined;
  /** Milliseconds: how often a connection in use is asked for life, and how long the answer may take. */
  readonly keepalive: number;
  /** Milliseconds that connecting may take. */
  readonly connectTimeout: number;
}

export type Metadata = Readonly<Record<string, string>>;

/** One gRPC stream in both directions. Messages are whole, without their frame. */
export interface GrpcStream {
  send(message: Buffer): void;
  /** Stops and goes on reading: what is not read holds up the sender, by HTTP/2 flow control. */
  pause(): void;
  resume(): void;
  close(): void;
}

export interface StreamHandlers {
  message(bytes: Buffer): void;
  /** Once, at the end. An end without an error of the server's is UNAVAILABLE too. */
  ended(error: GrpcError): void;
}

/** One HTTP/2 connection to one member. */
export interface Connection {
  readonly endpoint: string;
  /** False once nothing new can be sent on it. */
  readonly usable: boolean;
  /** `framed`: a message with five free bytes before it. Throws GrpcError. */
  unary(path: string, framed: Buffer, metadata: Metadata, timeout: number): Promise<Buffer>;
  stream(path: string, metadata: Metadata, handlers: StreamHandlers): GrpcStream;
  close(): void;
}

/** Bytes before each gRPC message: a flag, and the length. */
export const frameHead = 5;
/** Bytes of one answer at most. A page of large values is the largest that is asked for. */
const maxMessage = 512 << 20;
const windowSize = 8 << 20;

/** Connects. Throws GrpcError UNAVAILABLE, not sent, when that fails. */
export function openConnection(options: ConnectionOptions): Promise<Connection> {
  const { endpoint, tls = {}, keepalive, connectTimeout } = options;
  return new Promise((resolve, reject) => {
    const session = connect(endpoint, {
      ...tls,
      ...trust(tls.ca),
      settings: { initialWindowSize: windowSize, enablePush: false },
      ...(endpoint.startsWith("https:") ? { ALPNProtocols: ["h2"] } : {}),
    });
    const refuse = (why: string, cause?: unknown): void => {
      clearTimeout(timer);
      session.destroy();
      reject(new GrpcError(statusUnavailable, `${endpoint}: ${why}`, { sent: false, cause }));
    };
    const timer = setTimeout(() => refuse("no connection in time"), connectTimeout);
    session.once("error", (error: Error) => refuse(error.message, error));
    session.once("close", () => refuse("the connection was closed"));
    session.once("connect", () => {
      clearTimeout(timer);
      session.removeAllListeners();
      session.setLocalWindowSize(windowSize);
      resolve(connectionOver(session, endpoint, keepalive));
    });
  });
}

function connectionOver(session: ClientHttp2Session, endpoint: string, keepalive: number): Connection {
  let usable = true;
  let running = 0;
  let lastProcessed = Infinity;
  let why = "the connection was closed";
  let timer: NodeJS.Timeout | undefined;

  const stop = (reason: string): void => {
    why = usable ? reason : why;
    usable = false;
    clearInterval(timer);
  };
  session.on("error", (error: Error) => stop(error.message));
  session.on("close", () => stop("the connection was closed"));
  session.on("goaway", (_code, last) => {
    lastProcessed = last ?? Infinity;
    stop("the member is going away");
  });
  session.unref();

  /** A member that is paused, or whose machine is gone, closes nothing: it must be asked. */
  const watchLife = (): void => {
    if (timer) return;
    timer = setInterval(() => {
      if (running === 0) {
        clearInterval(timer);
        timer = undefined;
        return;
      }
      let answered = false;
      const late = setTimeout(() => {
        if (answered) return;
        stop("the member does not answer");
        session.destroy();
      }, keepalive);
      session.ping(() => {
        answered = true;
        clearTimeout(late);
      });
    }, keepalive);
  };

  const begin = (): void => {
    if (running++ === 0) session.ref();
    watchLife();
  };
  const end = (): void => {
    if (--running === 0 && !session.destroyed) session.unref();
  };

  const open = (path: string, metadata: Metadata): ClientHttp2Stream => {
    if (!usable || session.closed || session.destroyed)
      throw new GrpcError(statusUnavailable, `${endpoint}: ${why}`, { sent: false });
    return session.request(
      { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers", ...metadata },
      { endStream: false },
    );
  };

  const failure = (stream: ClientHttp2Stream, error: Error | undefined): GrpcError => {
    const refused = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM || (stream.id ?? Infinity) > lastProcessed;
    const text = error ? error.message : why;
    return new GrpcError(statusUnavailable, `${endpoint}: ${text}`, { sent: !refused, cause: error });
  };

  return {
    endpoint,
    get usable() {
      return usable && !session.closed && !session.destroyed;
    },
    unary(path, framed, metadata, timeout) {
      return new Promise((resolve, reject) => {
        const stream = open(path, { ...metadata, "grpc-timeout": wireTimeout(timeout) });
        begin();
        const reader = createReader(endpoint);
        let answer: Buffer | undefined;
        let status: GrpcError | "ok" | undefined;
        let error: Error | undefined;
        const late = setTimeout(() => {
          status = new GrpcError(4, `${endpoint}: no answer within ${Math.ceil(timeout)} ms`, { sent: true });
          stream.close(constants.NGHTTP2_CANCEL);
        }, timeout);
        stream.on("response", (headers) => {
          status ??= statusOf(headers, endpoint);
        });
        stream.on("trailers", (headers: IncomingHttpHeaders) => {
          status ??= statusOf(headers, endpoint);
        });
        stream.on("data", (chunk: Buffer) => {
          try {
            reader.add(chunk, (message) => {
              answer = message;
            });
          } catch (problem) {
            error = problem as Error;
            stream.close(constants.NGHTTP2_CANCEL);
          }
        });
        stream.on("error", (problem: Error) => {
          error ??= problem;
        });
        stream.on("close", () => {
          clearTimeout(late);
          end();
          if (status === "ok" && answer) resolve(answer);
          else reject(status && status !== "ok" ? status : failure(stream, error));
        });
        stream.end(frame(framed));
      });
    },
    stream(path, metadata, handlers) {
      const stream = open(path, metadata);
      begin();
      const reader = createReader(endpoint);
      let status: GrpcError | "ok" | undefined;
      let error: Error | undefined;
      stream.on("response", (headers) => {
        status ??= statusOf(headers, endpoint);
      });
      stream.on("trailers", (headers: IncomingHttpHeaders) => {
        status ??= statusOf(headers, endpoint);
      });
      stream.on("data", (chunk: Buffer) => {
        try {
          reader.add(chunk, (message) => handlers.message(message));
        } catch (problem) {
          error = problem as Error;
          stream.close(constants.NGHTTP2_CANCEL);
        }
      });
      stream.on("error", (problem: Error) => {
        error ??= problem;
      });
      stream.on("close", () => {
        end();
        handlers.ended(status && status !== "ok" ? status : failure(stream, error));
      });
      return {
        send: (message) => void stream.write(frame(message)),
        pause: () => void stream.pause(),
        resume: () => void stream.resume(),
        close: () => stream.close(constants.NGHTTP2_CANCEL),
      };
    },
    close() {
      stop("the store was closed");
      session.destroy();
    },
  };
}

/** In whole seconds where it is long: a header that repeats costs next to nothing. */
function wireTimeout(milliseconds: number): string {
  return milliseconds > 1000 ? `${Math.ceil(milliseconds / 1000)}S` : `${Math.ceil(milliseconds)}m`;
}

/** Fills in the five bytes before a message. */
function frame(framed: Buffer): Buffer {
  framed[0] = 0;
  framed.writeUInt32BE(framed.length - frameHead, 1);
  return framed;
}

/** The outcome that headers or trailers tell; undefined: none yet. */
function statusOf(headers: IncomingHttpHeaders, endpoint: string): GrpcError | "ok" | undefined {
  const http = Number(headers[":status"] ?? 200);
  if (http !== 200) return new GrpcError(statusUnavailable, `${endpoint}: HTTP status ${http}`, { sent: true });
  const code = headers["grpc-status"];
  if (code === undefined) return undefined;
  if (code === "0") return "ok";
  return new GrpcError(Number(code), readable(String(headers["grpc-message"] ?? "")), { sent: true });
}

/** grpc-message is percent-encoded. */
function readable(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Cuts a stream of bytes into messages. */
function createReader(endpoint: string) {
  let parts: Buffer[] = [];
  let length = 0;
  let wanted = -1;
  return {
    add(chunk: Buffer, each: (message: Buffer) => void): void {
      parts.push(chunk);
      length += chunk.length;
      for (;;) {
        if (wanted < 0) {
          if (length < frameHead) return;
          const all = whole();
          if (all[0] !== 0) throw new GrpcError(13, `${endpoint}: sends compressed messages`, { sent: true });
          wanted = all.readUInt32BE(1);
          if (wanted > maxMessage)
            throw new GrpcError(8, `${endpoint}: sends a message of ${wanted} bytes`, { sent: true });
        }
        if (length < frameHead + wanted) return;
        const all = whole();
        const message = all.subarray(frameHead, frameHead + wanted);
        const rest = all.subarray(frameHead + wanted);
        parts = rest.length > 0 ? [rest] : [];
        length = rest.length;
        wanted = -1;
        each(message);
      }
    },
  };

  function whole(): Buffer {
    if (parts.length > 1) parts = [Buffer.concat(parts)];
    return parts[0] ?? Buffer.alloc(0);
  }
}
