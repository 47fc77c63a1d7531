import { createConnection, type Socket } from "node:net";
import { Readable, Writable } from "node:stream";
import { type ContainerStreams, RuntimeError } from "../runtime.ts";
import {
  mostInput,
  streamChannel,
  streamFrame,
  streamFrameReader,
  type StreamEnd,
  type StreamRequest,
} from "./stream-protocol.ts";

/** Bytes of output that nobody has read yet; with more, nothing is read from the supervisor. */
const mostUnread = 256 << 10;

/** Asks the supervisor at `path` for a command in a container or an attachment to it. Throws `RuntimeError`. */
export async function openStreams(path: string, request: StreamRequest): Promise<ContainerStreams> {
  const socket = await connect(path);
  socket.write(`${JSON.stringify(request)}\n`);
  const full = new Set<number>();
  let outstanding = 0;
  let waiting: (() => void) | undefined;

  const output = (channel: number): Readable =>
    new Readable({
      highWaterMark: mostUnread,
      read() {
        if (full.delete(channel) && full.size === 0) socket.resume();
      },
      destroy(error, done) {
        if (full.delete(channel) && full.size === 0) socket.resume();
        done(error);
      },
    });
  const stdout = output(streamChannel.stdout);
  const stderr = output(streamChannel.stderr);
  for (const stream of [stdout, stderr]) stream.on("error", () => {});

  const send = (channel: number, data: Uint8Array): void => {
    if (socket.writable) socket.write(streamFrame(channel, data));
  };
  const goOn = (): void => {
    const done = waiting;
    // The next write may come at once, and wait itself.
    waiting = undefined;
    done?.();
  };
  const stdin = new Writable({
    write(chunk: Buffer, _, done) {
      outstanding += chunk.length;
      send(streamChannel.stdin, chunk);
      if (outstanding < mostInput || socket.destroyed) done();
      else waiting = done;
    },
    final(done) {
      send(streamChannel.stdinEnd, new Uint8Array());
      done();
    },
  });
  stdin.on("error", () => {});

  const ended = new Promise<{ exitCode: number }>((resolve, reject) => {
    const read = streamFrameReader((channel, data) => {
      if (channel === streamChannel.stdout || channel === streamChannel.stderr) {
        const stream = channel === streamChannel.stdout ? stdout : stderr;
        if (!stream.destroyed && !stream.push(data)) {
          full.add(channel);
          socket.pause();
        }
      } else if (channel === streamChannel.taken) {
        outstanding -= data.readUInt32BE(0);
        if (outstanding < mostInput) goOn();
      } else if (channel === streamChannel.end) {
        const end = JSON.parse(data.toString()) as StreamEnd;
        if ("error" in end)
          reject(new RuntimeError("START_FAILED", `error executing command in container: ${end.error}`));
        else resolve(end);
      }
    });
    socket.on("data", read);
    socket.once("close", () => {
      reject(new RuntimeError("UNAVAILABLE", "the connection to the supervisor was lost"));
      for (const stream of [stdout, stderr]) stream.push(null);
      goOn();
    });
  });
  ended.catch(() => {});
  return {
    stdin,
    stdout,
    stderr,
    ended,
    resize({ columns, rows }) {
      const size = Buffer.alloc(4);
      size.writeUInt16BE(columns, 0);
      size.writeUInt16BE(rows, 2);
      send(streamChannel.resize, size);
    },
    close: () => void socket.destroy(),
  };
}

function connect(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      socket.on("error", () => {});
      resolve(socket);
    });
    socket.once("error", (error: NodeJS.ErrnoException) =>
      reject(new RuntimeError("UNAVAILABLE", `cannot connect to ${path}: ${error.message}`)),
    );
  });
}
