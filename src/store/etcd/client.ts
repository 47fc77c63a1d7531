import { setTimeout as sleep } from "node:timers/promises";
import {
  frameHead,
  openConnection,
  type Connection,
  type EtcdTls,
  type GrpcStream,
  type Metadata,
} from "./connection.ts";
import { GrpcError, isPassing, isStaleToken, isUntouched, statusUnavailable, storeError } from "./errors.ts";
import { calls, type Messages } from "./generated/messages.ts";
import { decode, encode } from "./protobuf.ts";
import { StoreError } from "../store.ts";

export interface EtcdClientOptions {
  /** URLs of the members. Calls go to all of them in turn. */
  readonly endpoints: readonly string[];
  readonly tls?: EtcdTls | undefined;
  readonly user?: { readonly name: string; readonly password: string } | undefined;
  /** Milliseconds a call may take, all tries together. Default 10,000. */
  readonly timeout?: number;
  /** Milliseconds after which a silent member is asked for life, and given up. Default 3,000. */
  readonly keepalive?: number;
}

type Calls = typeof calls;
type Call = Exclude<keyof Calls, "Watch">;
type Request<C extends keyof Calls> = Messages[Calls[C]["request"]];
type Response<C extends keyof Calls> = Messages[Calls[C]["response"]];

export interface WatchStreamHandlers {
  message(response: Messages["WatchResponse"]): void;
  ended(error: unknown): void;
}

export interface WatchStream extends Pick<GrpcStream, "pause" | "resume" | "close"> {
  send(request: Messages["WatchRequest"]): void;
}

/** etcd's API over several members. */
export interface EtcdClient {
  /** Reads are tried again on other members; what may change something only when no member has begun with it. Throws StoreError. */
  call<C extends Call>(name: C, request: Request<C>, kind: "read" | "write"): Promise<Response<C>>;
  /** Opens a stream of watches on some member; the caller opens the next one when it ends. Throws StoreError. */
  watch(handlers: WatchStreamHandlers): Promise<WatchStream>;
  close(): void;
  readonly closed: boolean;
}

/** Milliseconds that a member which could not be reached is left alone while there are others. */
const penalty = 1000;

export function createEtcdClient(options: EtcdClientOptions): EtcdClient {
  const { endpoints, tls, user, timeout = 10_000, keepalive = 3000 } = options;
  const members = endpoints.map((endpoint) =>
    createMember({ endpoint, tls, keepalive, connectTimeout: Math.min(timeout, 3000) }),
  );
  const closing = new AbortController();
  let turn = Math.floor(Math.random() * members.length);
  let token: Promise<string> | undefined;

  const closedError = () => new StoreError("CLOSED", "the store is closed");

  /** The next member in turn that answered last time; when none did, the one that was left alone the longest. */
  const next = (): Member => {
    const now = Date.now();
    for (let i = 0; i < members.length; i++) {
      const member = members[(turn + i) % members.length];
      if (!member || member.avoidUntil > now) continue;
      turn = (turn + i + 1) % members.length;
      return member;
    }
    return [...members].sort((a, b) => a.avoidUntil - b.avoidUntil)[0] as Member;
  };

  const metadata = async (connection: Connection, until: number): Promise<Metadata> => {
    if (!user) return base;
    token ??= authenticate(connection, user, until);
    try {
      return { ...base, token: await token };
    } catch (error) {
      token = undefined;
      throw error;
    }
  };

  const attempt = async (path: string, framed: Buffer, until: number, member: Member): Promise<Buffer> => {
    const connection = await member.connect();
    const head = user ? await metadata(connection, until) : base;
    return connection.unary(path, framed, head, Math.max(1, until - Date.now()));
  };

  return {
    async call(name, request, kind) {
      const { path, request: type, response } = calls[name];
      const framed = encode(type, request, frameHead);
      const until = Date.now() + timeout;
      for (let tries = 0; ; tries++) {
        if (closing.signal.aborted) throw closedError();
        const member = next();
        try {
          const bytes = await attempt(path, framed, until, member);
          return decode(response, bytes) as Response<typeof name>;
        } catch (error) {
          if (!(error instanceof GrpcError)) throw error;
          if (error.code === statusUnavailable || error.code === 4) member.avoid();
          const stale = user !== undefined && isStaleToken(error);
          if (stale) token = undefined;
          const again = stale ? tries < 3 : kind === "read" ? isPassing(error) : isUntouched(error);
          if (closing.signal.aborted) throw again ? closedError() : storeError(error, kind === "write");
          if (!again || Date.now() >= until) throw storeError(error, kind === "write");
          // All members have been asked: a moment for an election.
          if ((tries + 1) % members.length === 0)
            await sleep(Math.min(50 * 2 ** Math.min(tries, 3), Math.max(1, until - Date.now())), undefined, {
              signal: closing.signal,
            }).catch(() => {});
        }
      }
    },
    async watch(handlers) {
      if (closing.signal.aborted) throw closedError();
      const member = next();
      try {
        const connection = await member.connect();
        const head = await metadata(connection, Date.now() + timeout);
        const stream = connection.stream(calls.Watch.path, head, {
          message: (bytes) => handlers.message(decode("WatchResponse", bytes)),
          ended(error) {
            if (error.code === statusUnavailable) member.avoid();
            if (isStaleToken(error)) token = undefined;
            handlers.ended(error);
          },
        });
        return { ...stream, send: (request) => stream.send(encode("WatchRequest", request, frameHead)) };
      } catch (error) {
        member.avoid();
        throw closing.signal.aborted ? closedError() : storeError(error, false);
      }
    },
    close() {
      closing.abort();
      for (const member of members) member.close();
    },
    get closed() {
      return closing.signal.aborted;
    },
  };
}

/** A member without a leader refuses at once instead of keeping the call. */
const base: Metadata = { hasleader: "true" };

async function authenticate(
  connection: Connection,
  { name, password }: { name: string; password: string },
  until: number,
): Promise<string> {
  const { path } = calls.Authenticate;
  const framed = encode("AuthenticateRequest", { name, password }, frameHead);
  const answer = await connection.unary(path, framed, base, Math.max(1, until - Date.now()));
  return decode("AuthenticateResponse", answer).token ?? "";
}

interface Member {
  /** Milliseconds since the epoch. */
  readonly avoidUntil: number;
  avoid(): void;
  /** The connection there is, or a new one. */
  connect(): Promise<Connection>;
  close(): void;
}

function createMember(options: Parameters<typeof openConnection>[0]): Member {
  let connection: Connection | undefined;
  let opening: Promise<Connection> | undefined;
  let avoidUntil = 0;
  let closed = false;
  const open = async (): Promise<Connection> => {
    const opened = await openConnection(options);
    if (closed) opened.close();
    avoidUntil = 0;
    connection = opened;
    return opened;
  };
  return {
    get avoidUntil() {
      return avoidUntil;
    },
    avoid() {
      avoidUntil = Date.now() + penalty;
    },
    async connect() {
      if (connection?.usable) return connection;
      opening ??= open().finally(() => {
        opening = undefined;
      });
      return opening;
    },
    close() {
      closed = true;
      connection?.close();
    },
  };
}
