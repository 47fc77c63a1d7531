import type { IncomingMessage } from "node:http";
import type { Duplex, Readable, Writable } from "node:stream";
import { finished } from "node:stream/promises";
import type { ContainerStreams } from "../runtime/runtime.ts";
import { chooseProtocol, isSpdy, isWebSocket, listOf } from "./negotiate.ts";
import { refusal } from "./refusal.ts";
import { serveSpdy, type SpdyStream } from "./spdy/index.ts";
import { acceptSpdy } from "./spdy-upgrade.ts";
import { type CommandStatus, exitStatus, internalErrorStatus } from "./status.ts";
import { acceptWebSocket, openChannels } from "./web-socket.ts";

/** Which streams a client of exec or attach wants. */
export interface CommandStreams {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

/** The client's end of a remote command. */
interface ClientEnd {
  readonly stdin: Readable | undefined;
  readonly stdout: Writable | undefined;
  readonly stderr: Writable | undefined;
  /** JSON documents one after another: `{"Width": columns, "Height": rows}`. */
  readonly resize: Readable | undefined;
  readonly error: Writable;
  /** Whether the error stream carries a Status, not a text. */
  readonly hasStatus: boolean;
  readonly closed: Promise<void>;
  close(): Promise<void>;
}

const webSocketProtocols = [
  "v5.channel.k8s.io",
  "v4.channel.k8s.io",
  "v4.base64.channel.k8s.io",
  "channel.k8s.io",
  "base64.channel.k8s.io",
];
const spdyProtocols = ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];
const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const;

/** Milliseconds that a client of SPDY has to open its streams. */
const openingMs = 30_000;

/** Reads the streams that the query of exec or attach names. Throws `Refusal` 400 when it names none. */
export function commandStreams(query: URLSearchParams): CommandStreams {
  const on = (name: string): boolean => ["1", "true"].includes(query.get(name) ?? "");
  const tty = on("tty");
  const wanted = { stdin: on("input") || on("stdin"), stdout: on("output") || on("stdout"), tty };
  const stderr = !tty && (on("error") || on("stderr"));
  if (!wanted.stdin && !wanted.stdout && !stderr)
    throw refusal(400, "you must specify at least 1 of stdin, stdout, stderr");
  return { ...wanted, stderr };
}

/**
 * Serves exec or attach on an upgraded connection: WebSocket (v5, v4 and before, base64) or SPDY/3.1. Settles when it is over.
 * Throws `Refusal` when the client asks for no protocol that is known: then the connection is still HTTP's.
 */
export async function serveRemoteCommand(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  wanted: CommandStreams,
  open: () => Promise<ContainerStreams>,
): Promise<void> {
  let client: ClientEnd;
  if (isWebSocket(request)) {
    const protocol = chooseProtocol(listOf(request, "sec-websocket-protocol"), webSocketProtocols, true);
    client = await webSocketEnd(request, socket, head, protocol, wanted);
  } else if (isSpdy(request)) {
    const protocol = chooseProtocol(listOf(request, "x-stream-protocol-version"), spdyProtocols, true);
    client = await spdyEnd(acceptSpdy(socket, head, protocol), protocol, wanted);
  } else throw refusal(400, "Upgrade request required");
  await run(client, open);
}

async function run(client: ClientEnd, open: () => Promise<ContainerStreams>): Promise<void> {
  let status: CommandStatus;
  try {
    const streams = await open();
    void client.closed.then(() => streams.close());
    // The input goes on until the command ends: it is not waited for.
    client.stdin?.pipe(streams.stdin);
    if (client.resize) readSizes(client.resize, streams);
    const outputs = [pass(streams.stdout, client.stdout), pass(streams.stderr, client.stderr)];
    const { exitCode } = await streams.ended;
    await Promise.all(outputs);
    client.stdin?.unpipe();
    streams.close();
    status = exitStatus(exitCode);
  } catch (error) {
    status = internalErrorStatus(error instanceof Error ? error.message : String(error));
  }
  const isSuccess = status.status === "Success";
  const text = client.hasStatus ? JSON.stringify(status) : isSuccess ? "" : (status.message ?? "");
  await finished(text === "" ? client.error.end() : client.error.end(text), { readable: false }).catch(() => {});
  await client.close();
}

async function pass(from: Readable, to: Writable | undefined): Promise<void> {
  if (!to) {
    from.resume();
    return;
  }
  // Who takes nothing any more has gone: `closed` ends the command.
  to.once("close", () => from.resume());
  from.pipe(to);
  await finished(to, { readable: false }).catch(() => {});
}

/** Longest document on the resize stream. */
const mostSize = 1024;

function readSizes(from: Readable, streams: ContainerStreams): void {
  let text = "";
  from.on("data", (chunk: Buffer) => {
    text = (text + chunk.toString("latin1")).slice(-mostSize);
    for (let end = text.indexOf("}"); end >= 0; end = text.indexOf("}")) {
      const one = text.slice(0, end + 1);
      text = text.slice(end + 1);
      const number = (name: string): number =>
        Number(new RegExp(`"${name}"\\s*:\\s*(\\d{1,5})\\b`, "i").exec(one)?.[1]);
      const [columns, rows] = [number("width"), number("height")];
      if (columns > 0 && columns < 65_536 && rows > 0 && rows < 65_536) streams.resize({ columns, rows });
    }
  });
}

async function webSocketEnd(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocol: string,
  wanted: CommandStreams,
): Promise<ClientEnd> {
  const ws = await acceptWebSocket(request, socket, head, protocol);
  const channels = openChannels(ws, protocol);
  const stdin = wanted.stdin ? channels.readable(channel.stdin) : undefined;
  const resize = wanted.tty ? channels.readable(channel.resize) : undefined;
  const stdout = wanted.stdout ? channels.writable(channel.stdout) : undefined;
  const stderr = wanted.stderr ? channels.writable(channel.stderr) : undefined;
  const error = channels.writable(channel.error);
  // Clients wait for a first message, as upstream's server sends it.
  (stdout ?? stderr ?? error).write(new Uint8Array());
  return {
    stdin,
    resize,
    stdout,
    stderr,
    error,
    hasStatus: protocol.startsWith("v4.") || protocol.startsWith("v5."),
    closed: channels.closed,
    close: () => channels.close(),
  };
}

async function spdyEnd(connection: Duplex, protocol: string, wanted: CommandStreams): Promise<ClientEnd> {
  const hasResize = wanted.tty && (protocol === "v3.channel.k8s.io" || protocol === "v4.channel.k8s.io");
  const missing = new Set(["error"]);
  for (const name of ["stdin", "stdout", "stderr"] as const) if (wanted[name]) missing.add(name);
  if (hasResize) missing.add("resize");
  const streams = new Map<string, Duplex>();
  let opened = (): void => {};
  const session = serveSpdy(connection, ({ headers, data }: SpdyStream) => {
    const type = headers.get("streamtype") ?? "";
    if (!missing.delete(type)) {
      data.destroy();
      return;
    }
    streams.set(type, data);
    // Only one direction has a meaning; the other is read so that its end is seen.
    if (type !== "stdin" && type !== "resize") data.resume();
    if (missing.size === 0) opened();
  });
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      connection.destroy();
      reject(new Error(`the client did not open its streams: ${[...missing].join(", ")}`));
    }, openingMs);
    opened = () => {
      clearTimeout(timer);
      resolve();
    };
    void session.closed.then(() => {
      clearTimeout(timer);
      reject(new Error("the client has gone"));
    });
  });
  const of = (name: string): Duplex | undefined => streams.get(name);
  const error = streams.get("error");
  if (!error) throw new Error("no error stream");
  return {
    stdin: of("stdin"),
    resize: of("resize"),
    stdout: of("stdout"),
    stderr: of("stderr"),
    error,
    hasStatus: protocol === "v4.channel.k8s.io",
    closed: session.closed,
    async close() {
      for (const stream of streams.values()) stream.end();
      await session.close();
    },
  };
}
