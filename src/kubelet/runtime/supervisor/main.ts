// The supervisor of one node's containers: a small process of its own session that outlives the kubelet, holds the
// containers' pipes, writes their logs and records how they ended. Started as `node main.js DIR SOCKET`.
import { rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createContainers } from "./containers.ts";
import { processStart, supervisorPidFile } from "./process-identity.ts";
import { type HeldContainer, lineSplitter, type Method, type ReplyLine, type RequestLine } from "./protocol.ts";
import type { Requests, SandboxRecord } from "./protocol.ts";
import { openRecords } from "./records.ts";
import { streamSocket } from "./stream-protocol.ts";
import { serveStreams } from "./streams.ts";

/** With nothing to hold and nobody connected it ends itself after this long. */
const idleMs = 60_000;

const [dir, socketPath] = process.argv.slice(2);
if (dir === undefined || socketPath === undefined) throw new Error("usage: main.js DIR SOCKET");

// A terminal's hang-up or interrupt is not for it: only `shutdown` and idleness end it.
for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) process.on(signal, () => {});

const connections = new Set<Socket>();
const server = createServer((socket) => serve(socket));

// Listening is the lock: whoever comes second finds the address in use and leaves everything alone.
server.once("error", () => process.exit(3));
server.listen(socketPath, () => begin(dir, socketPath));

let handle: (<M extends Method>(method: M, params: Requests[M]["in"]) => Promise<Requests[M]["out"]>) | undefined;

function begin(dir: string, socketPath: string): void {
  const sandboxes = openRecords<SandboxRecord>(join(dir, "sandboxes"));
  const held = openRecords<HeldContainer>(join(dir, "containers"));
  const changed = (podUid: string): void => {
    for (const socket of connections) reply(socket, { changed: podUid });
  };
  const containers = createContainers(held, { changed, now: Date.now });
  writeFileSync(supervisorPidFile(dir), `${process.pid} ${processStart(process.pid)}\n`, { mode: 0o600 });
  const streams = serveStreams(streamSocket(socketPath), containers);
  const leave = (): void => {
    streams.close();
    rmSync(socketPath, { force: true });
    rmSync(supervisorPidFile(dir), { force: true });
    process.exit(0);
  };

  const methods: { [M in Method]: (params: Requests[M]["in"]) => Promise<Requests[M]["out"]> | Requests[M]["out"] } = {
    hello: () => ({ pid: process.pid }),
    list: ({ podUid }) => {
      const wanted = (record: { podUid: string }): boolean => podUid === undefined || record.podUid === podUid;
      return { sandboxes: sandboxes.all().filter(wanted), containers: held.all().filter(wanted) };
    },
    putSandbox: ({ sandbox }) => (sandboxes.put(sandbox), null),
    deleteSandbox: ({ id }) => (sandboxes.delete(id), null),
    putContainer: ({ container }) => (held.put(container), null),
    startContainer: async ({ id, program }) => ({ pid: await containers.start(id, program) }),
    signalContainer: ({ id, signal }) => (containers.signal(id, signal), null),
    deleteContainer: async ({ id }) => (await containers.delete(id), null),
    shutdown: async () => {
      await containers.killAll();
      setTimeout(leave, 50);
      return null;
    },
  };
  handle = async (method, params) => methods[method](params);

  let idleSince = Date.now();
  setInterval(() => {
    if (connections.size > 0 || sandboxes.all().length > 0) idleSince = Date.now();
    else if (Date.now() - idleSince > idleMs) leave();
  }, 5_000);
}

function reply(socket: Socket, line: ReplyLine): void {
  if (socket.writable) socket.write(`${JSON.stringify(line)}\n`);
}

function serve(socket: Socket): void {
  connections.add(socket);
  socket.setEncoding("utf8");
  socket.on("error", () => {});
  socket.on("close", () => connections.delete(socket));
  socket.on(
    "data",
    lineSplitter(
      (line) => void answer(socket, line),
      () => socket.destroy(),
    ),
  );
}

async function answer(socket: Socket, line: string): Promise<void> {
  let id = 0;
  try {
    const request = JSON.parse(line) as RequestLine;
    id = request.id;
    if (!handle) throw new Error("not ready");
    reply(socket, { id, result: await handle(request.method, request.params) });
  } catch (error) {
    reply(socket, { id, error: error instanceof Error ? error.message : String(error) });
  }
}
