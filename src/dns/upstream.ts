import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { readFile, stat } from "node:fs/promises";
import { connect, isIP } from "node:net";
import type { Clock } from "../system/index.ts";

/** An address and a port. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Asks other servers. */
export interface Upstream {
  /**
   * Sends the query on, to one server after the other until one answers, and gives back the answer with the query's own id.
   * Throws UpstreamError when none answers, or when too much is under way.
   */
  forward(query: Buffer, transport: "udp" | "tcp"): Promise<Buffer>;
}

export class UpstreamError extends Error {
  readonly code: "NO_SERVER" | "NO_ANSWER" | "BUSY";

  constructor(code: UpstreamError["code"], message: string) {
    super(message);
    this.name = "UpstreamError";
    this.code = code;
  }
}

/** Milliseconds that one server has to answer. */
const timeout = 2000;
/** Queries that may be waiting for other servers: each has a socket. */
const maxUnderWay = 256;

export interface UpstreamOptions {
  /** Servers to ask, in order. */
  servers(): Promise<readonly Endpoint[]>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export function createUpstream(options: UpstreamOptions): Upstream {
  const { clock, signal } = options;
  let underWay = 0;

  async function ask(query: Buffer, transport: "udp" | "tcp"): Promise<Buffer> {
    const all = await options.servers();
    if (all.length === 0) throw new UpstreamError("NO_SERVER", "there is no other name server to ask");
    let unwilling: Buffer | undefined;
    for (const server of all) {
      const response = await exchange(query, server, transport, clock, signal);
      // SERVFAIL and REFUSED are no answer as long as there is someone else to ask.
      if (response && ![2, 5].includes(response.readUInt8(3) & 0xf)) return response;
      unwilling ??= response;
    }
    if (unwilling) return unwilling;
    throw new UpstreamError("NO_ANSWER", `no answer from ${all.map(({ address }) => address).join(", ")}`);
  }

  return {
    async forward(query, transport) {
      if (underWay >= maxUnderWay) throw new UpstreamError("BUSY", `${underWay} queries are waiting for other servers`);
      underWay++;
      try {
        return await ask(query, transport);
      } finally {
        underWay--;
      }
    },
  };
}

/** One question to one server. Undefined: no answer in time. The id and the port are drawn anew, against forged answers. */
async function exchange(
  query: Buffer,
  server: Endpoint,
  transport: "udp" | "tcp",
  clock: Clock,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const id = randomInt(0x10000);
  const sent = Buffer.from(query);
  sent.writeUInt16BE(id, 0);
  const done = new AbortController();
  const stop = () => done.abort();
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    const tooLate = clock.sleep(timeout, done.signal).catch(() => undefined);
    const asking = (transport === "udp" ? overUdp : overTcp)(sent, server, done.signal);
    const response = await Promise.race([asking, tooLate]);
    if (!response) return undefined;
    const own = Buffer.from(response);
    query.copy(own, 0, 0, 2);
    return own;
  } finally {
    stop();
    signal.removeEventListener("abort", stop);
  }
}

/** Whether it answers what was asked: the same id, and a response. The rest of the socket's address is the kernel's to check. */
function answers(response: Buffer, sent: Buffer): boolean {
  return (
    response.byteLength >= 12 &&
    response.readUInt16BE(0) === sent.readUInt16BE(0) &&
    (response.readUInt8(2) & 0x80) !== 0
  );
}

function overUdp(sent: Buffer, { address, port }: Endpoint, stop: AbortSignal): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(isIP(address) === 6 ? "udp6" : "udp4");
    const end = (response?: Buffer) => {
      if (stop.aborted && !response) return;
      resolve(response);
    };
    stop.addEventListener("abort", () => socket.close(), { once: true });
    socket.on("error", () => end());
    socket.on("message", (message) => {
      if (answers(message, sent)) end(message);
    });
    // A connected socket takes datagrams only from there, and hears of a port that is closed.
    socket.connect(port, address, () => {
      if (!stop.aborted) socket.send(sent, (error) => error && end());
    });
  });
}

function overTcp(sent: Buffer, { address, port }: Endpoint, stop: AbortSignal): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, address);
    stop.addEventListener("abort", () => socket.destroy(), { once: true });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(sent.byteLength);
    socket.write(Buffer.concat([length, sent]));
    let received = Buffer.alloc(0);
    socket.on("error", () => resolve(undefined));
    socket.on("close", () => resolve(undefined));
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.byteLength < 2 || received.byteLength < 2 + received.readUInt16BE()) return;
      const response = received.subarray(2, 2 + received.readUInt16BE());
      resolve(answers(response, sent) ? response : undefined);
    });
  });
}

/** Servers of a resolv.conf (resolv.conf(5)): at most three, as resolvers read. */
export function parseNameServers(text: string): Endpoint[] {
  const found = text.split("\n").flatMap((line) => {
    const [keyword, value = ""] = line.trim().split(/\s+/);
    const address = value.split("%")[0] ?? "";
    return keyword === "nameserver" && isIP(address) !== 0 ? [{ address, port: 53 }] : [];
  });
  return found.slice(0, 3);
}

/** `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:5353`. Undefined when it is none of these. */
export function parseServer(text: string): Endpoint | undefined {
  if (isIP(text) !== 0) return { address: text, port: 53 };
  const [, v6, v4, digits] = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const address = v6 ?? v4 ?? "";
  const port = Number(digits);
  return isIP(address) === (v6 ? 6 : 4) && port > 0 && port < 65_536 ? { address, port } : undefined;
}

/** Milliseconds between looks at whether the file has changed. */
const lookAgain = 5000;

/** The servers that a resolv.conf names now. None when there is no such file. */
export function serversFromFile(path: string, clock: Clock): () => Promise<readonly Endpoint[]> {
  let servers: readonly Endpoint[] = [];
  let readAt = -Infinity;
  let changedAt = Number.NaN;
  return async () => {
    if (clock.now() - readAt < lookAgain) return servers;
    readAt = clock.now();
    try {
      const { mtimeMs } = await stat(path);
      if (mtimeMs !== changedAt) servers = parseNameServers(await readFile(path, "utf8"));
      changedAt = mtimeMs;
    } catch {
      servers = [];
      changedAt = Number.NaN;
    }
    return servers;
  };
}
