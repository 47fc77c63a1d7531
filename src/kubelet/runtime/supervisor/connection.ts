import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, closeSync, lstatSync, mkdirSync, openSync, rmSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { RuntimeError } from "../runtime.ts";
import { lineSplitter, type Method, type ReplyLine, type Requests } from "./protocol.ts";

/** The kubelet's end of the socket to its supervisor. */
export interface SupervisorConnection {
  /** Starts the supervisor when it does not run. Throws `RuntimeError`. */
  call<M extends Method>(method: M, params: Requests[M]["in"]): Promise<Requests[M]["out"]>;
  /** Closes the socket; the supervisor and its containers go on. */
  close(): void;
}

export interface SupervisorOptions {
  /** Where the supervisor keeps its records. */
  readonly dir: string;
  /** Called with a pod's uid, and with none after the connection was lost. */
  readonly onChange: (podUid: string | undefined) => void;
  /** How the supervisor is started; default: this package's own, with this Node. */
  readonly program?: readonly string[];
}

/** How long a new supervisor may take until it listens. */
const startMs = 10_000;

/**
 * Connects to the supervisor of `dir`, lazily: at the first call, and again at the first call after it was lost.
 * At most one supervisor runs for a directory: listening on the socket is the lock.
 */
export function connectSupervisor(options: SupervisorOptions): SupervisorConnection {
  const socketPath = supervisorSocket(options.dir);
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  let serial = 0;
  let closed = false;
  let current: Promise<Socket> | undefined;

  const lost = (): void => {
    current = undefined;
    const error = new RuntimeError("UNAVAILABLE", "the connection to the supervisor was lost");
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
    if (!closed) options.onChange(undefined);
  };

  const onLine = (text: string): void => {
    const line = JSON.parse(text) as ReplyLine;
    if ("changed" in line) {
      options.onChange(line.changed);
      return;
    }
    const waiter = waiting.get(line.id);
    waiting.delete(line.id);
    if ("error" in line) waiter?.reject(new RuntimeError("UNAVAILABLE", line.error));
    else waiter?.resolve(line.result as never);
  };

  const open = async (): Promise<Socket> => {
    let socket = await connect(socketPath);
    // It would only be in a new one's way.
    if (socket === "dead") rmSync(socketPath, { force: true });
    if (typeof socket === "string") socket = await startSupervisor(options, socketPath);
    socket.setEncoding("utf8");
    socket.on(
      "data",
      lineSplitter(onLine, () => socket.destroy()),
    );
    socket.on("error", () => {});
    socket.once("close", lost);
    return socket;
  };

  return {
    async call(method, params) {
      if (closed) throw new RuntimeError("UNAVAILABLE", "the runtime is closed");
      current ??= open();
      let socket: Socket;
      try {
        socket = await current;
      } catch (error) {
        current = undefined;
        throw error;
      }
      const id = ++serial;
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        socket.write(`${JSON.stringify({ id, method, params })}\n`);
      });
    },
    close() {
      closed = true;
      current?.then((socket) => socket.destroy()).catch(() => {});
    },
  };
}

/**
 * The socket's path. A Unix socket's path may have 107 bytes, a data directory's may have more, so it lies in a
 * private directory of its own, found by the data directory's hash.
 */
export function supervisorSocket(dir: string): string {
  return join(runDirectory(dir), "supervisor.sock");
}

/** Where the runtime of a node's directory keeps its records. */
export function runtimeDirectory(dir: string): string {
  return join(dir, "runtime");
}

/** A private directory (0700) for `dir`'s short-lived files: under /run as root, else under the temporary directory. */
export function runDirectory(dir: string): string {
  const uid = process.getuid?.() ?? 0;
  const parent = uid === 0 ? "/run/fairlead" : join(tmpdir(), `fairlead-${uid}`);
  const path = join(parent, createHash("sha256").update(resolve(dir)).digest("hex").slice(0, 12));
  for (const directory of [parent, path]) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const owner = lstatSync(directory);
    // Under /tmp anyone may have made it first.
    if (!owner.isDirectory() || owner.uid !== uid) {
      throw new RuntimeError("UNAVAILABLE", `${directory} belongs to someone else: remove it or set TMPDIR`);
    }
    chmodSync(directory, 0o700);
  }
  return path;
}

/** `absent`: there is no socket; `dead`: whoever made it does not listen any more. */
function connect(path: string): Promise<Socket | "absent" | "dead"> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") resolve("absent");
      else if (error.code === "ECONNREFUSED") resolve("dead");
      else reject(new RuntimeError("UNAVAILABLE", `cannot connect to ${path}: ${error.message}`));
    });
  });
}

async function startSupervisor(options: SupervisorOptions, socketPath: string): Promise<Socket> {
  mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  const own = fileURLToPath(new URL("./main.js", import.meta.url));
  const [file = process.execPath, ...args] = options.program ?? [
    process.execPath,
    "--max-semi-space-size=1",
    "--max-old-space-size=128",
    own,
  ];
  const errors = openSync(join(options.dir, "supervisor.log"), "a", 0o600);
  const child = spawn(file, [...args, resolve(options.dir), socketPath], {
    detached: true,
    stdio: ["ignore", "ignore", errors],
    cwd: "/",
  });
  closeSync(errors);
  let failure: string | undefined;
  child.once("error", (error) => (failure = error.message));
  child.once("exit", (code) => {
    // 3: another one was quicker, which is as good.
    if (code !== 3) failure ??= `it ended with code ${code}; see ${join(options.dir, "supervisor.log")}`;
  });
  child.unref();
  for (let waited = 0; waited < startMs && failure === undefined; waited += 20) {
    const socket = await connect(socketPath);
    if (typeof socket !== "string") return socket;
    await sleep(20);
  }
  throw new RuntimeError("UNAVAILABLE", `the supervisor does not start: ${failure ?? "it does not listen"}`);
}

/** Ends the supervisor of `dir` and all its containers; nothing happens when none runs. */
export async function stopSupervisor(dir: string): Promise<void> {
  const socket = await connect(supervisorSocket(dir));
  if (typeof socket === "string") return;
  await new Promise<void>((resolve) => {
    socket.once("close", () => resolve());
    socket.on("error", () => {});
    socket.resume();
    socket.write(`${JSON.stringify({ id: 1, method: "shutdown", params: {} })}\n`);
  });
}
