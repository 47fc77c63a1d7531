import { rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import { endOf, startChild } from "./child.ts";
import type { Containers } from "./containers.ts";
import { signalGroup } from "./process-identity.ts";
import { maxLine } from "./protocol.ts";
import {
  streamChannel,
  streamFrame,
  streamFrameReader,
  type StreamEnd,
  type StreamRequest,
} from "./stream-protocol.ts";

/** How long the output of an ended command is waited for. */
const lastOutputMs = 2_000;

/** Serves commands in containers and attachments to them, each on a connection of its own; with the connection a command ends too. */
export function serveStreams(path: string, containers: Containers): Server {
  rmSync(path, { force: true });
  const server = createServer((socket) => {
    let begun: ((chunk: Buffer) => void) | undefined;
    let head: Buffer = Buffer.alloc(0);
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      if (begun) return begun(chunk);
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf(10);
      if (end < 0) {
        if (head.length > maxLine) socket.destroy();
        return;
      }
      const input = createInput(socket);
      begun = input.take;
      begin(socket, input, JSON.parse(head.toString("utf8", 0, end)) as StreamRequest, containers).catch(
        (error: unknown) => endWith(socket, { error: error instanceof Error ? error.message : String(error) }),
      );
      if (head.length > end + 1) begun(head.subarray(end + 1));
    });
  });
  server.on("error", () => {});
  server.listen(path);
  return server;
}

interface Input {
  readonly take: (chunk: Buffer) => void;
  /** Where input goes from now on; what came before is given first. */
  to(target: Target): void;
}

interface Target {
  readonly stdin: Writable | undefined;
  /** Whether the end of the input is passed on: a terminal has none, and other attachments may go on. */
  readonly ends: boolean;
  readonly resize: (columns: number, rows: number) => void;
}

/** Input that comes before the process is there waits; `mostInput` bounds it. */
function createInput(socket: Socket): Input {
  let target: Target | undefined;
  const early: (readonly [number, Buffer])[] = [];
  const taken = (size: number): void => {
    const count = Buffer.alloc(4);
    count.writeUInt32BE(size);
    if (socket.writable) socket.write(streamFrame(streamChannel.taken, count));
  };
  const frame = (channel: number, data: Buffer): void => {
    if (!target) {
      early.push([channel, Buffer.from(data)]);
      return;
    }
    const { stdin, ends, resize } = target;
    if (channel === streamChannel.resize && data.length === 4) resize(data.readUInt16BE(0), data.readUInt16BE(2));
    else if (channel === streamChannel.stdin) {
      // What nobody reads is taken as well, so that the sender comes to its end.
      if (stdin?.writable) stdin.write(data, () => taken(data.length));
      else taken(data.length);
    } else if (channel === streamChannel.stdinEnd && ends) stdin?.end();
  };
  const read = streamFrameReader(frame);
  return {
    take: (chunk) => {
      try {
        read(chunk);
      } catch {
        socket.destroy();
      }
    },
    to(given) {
      target = given;
      for (const [channel, data] of early.splice(0)) frame(channel, data);
    },
  };
}

function endWith(socket: Socket, end: StreamEnd): void {
  if (socket.writable) socket.end(streamFrame(streamChannel.end, Buffer.from(JSON.stringify(end))));
}

async function begin(socket: Socket, input: Input, request: StreamRequest, containers: Containers): Promise<void> {
  const gone = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  if (request.type === "attach") return attach(socket, input, request, containers, gone);
  const over = containers.ended(request.id);
  if (!over) throw new Error(`container ${request.id} does not run`);
  const child = await startChild(request.program, request);
  const kill = (): void => signalGroup(child.pid, "SIGKILL");
  const stop = (): void => {
    kill();
    child.stdout.destroy();
    child.stderr?.destroy();
    child.stdin?.destroy();
  };
  let running = true;
  void gone.then(() => running && stop());
  void over.then(() => running && kill());
  // Whoever asked may have gone while it was started.
  if (socket.destroyed) stop();
  const resize = (columns: number, rows: number): void => child.pty?.resize(columns, rows);
  input.to({ stdin: child.stdin, ends: !child.pty, resize });
  forward(child.stdout, socket, streamChannel.stdout);
  if (child.stderr) forward(child.stderr, socket, streamChannel.stderr);
  const { code, signal } = await endOf(child, lastOutputMs, () => {});
  running = false;
  child.stdin?.destroy();
  endWith(socket, { exitCode: code ?? 128 + (signal ? constants.signals[signal] : 0) });
}

function forward(from: Readable, socket: Socket, channel: number): void {
  from.on("data", (chunk: Buffer) => {
    if (!socket.writable) return;
    if (!socket.write(streamFrame(channel, chunk))) {
      from.pause();
      socket.once("drain", () => from.resume());
    }
  });
}

async function attach(
  socket: Socket,
  input: Input,
  request: Extract<StreamRequest, { type: "attach" }>,
  containers: Containers,
  gone: Promise<void>,
): Promise<void> {
  const attached = containers.attach(
    request.id,
    (stream, chunk) => {
      if (!socket.writable) return undefined;
      if (socket.write(streamFrame(streamChannel[stream], chunk))) return undefined;
      return new Promise<void>((resolve) => {
        socket.once("drain", resolve);
        void gone.then(resolve);
      });
    },
    () => socket.destroy(),
  );
  if (!attached) throw new Error(`container ${request.id} does not run`);
  const stdin = request.stdin ? attached.stdin : undefined;
  input.to({ stdin, ends: attached.once, resize: attached.resize });
  await Promise.race([attached.ended, gone]);
  attached.detach(request.stdin);
  endWith(socket, { exitCode: 0 });
}
