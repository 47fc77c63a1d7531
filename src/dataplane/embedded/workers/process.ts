import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Logger } from "../../../system/index.ts";
import { openDescriptorPair } from "../../descriptors.ts";
import type { SystemUser } from "../../haproxy/directory.ts";
import type { FromWorker, ToWorker } from "./protocol.ts";

/** A process that serves. */
export interface WorkerProcess {
  readonly pid: number;
  /** Sends a message, and before it the descriptors that it speaks of. Nothing happens when the process has ended. */
  send(message: ToWorker, descriptors?: readonly number[]): void;
  /** Settles when it has ended, with what it said last. */
  readonly ended: Promise<string>;
  kill(): void;
}

export interface ProcessOptions {
  /** Default: the program beside this module. */
  readonly program?: string;
  /** Whom it becomes. */
  readonly user?: SystemUser;
  /** Descriptor that becomes its standard output. */
  readonly output?: number;
  readonly log: Logger;
  readonly onMessage: (message: FromWorker) => void;
}

/** Starts processes: the real ones, or fakes in tests. */
export type StartProcess = (options: ProcessOptions) => Promise<WorkerProcess>;

/** Young objects live for one request: with room for many of them, few are copied. Megabytes. */
const youngMegabytes = 16;
const saidBytes = 4_000;
/** The inbox's number in the process: after standard input, output, error and the channel. */
const inbox = 4;

/** Joined into one file by the build, which starts sooner; else as it is compiled. */
function ownProgram(): string {
  const joined = fileURLToPath(new URL("../../../bundle/embedded-worker.js", import.meta.url));
  return existsSync(joined) ? joined : fileURLToPath(new URL("./main.js", import.meta.url));
}

/** Starts the program and waits until it is ready for messages. Rejects with what it says when it never is. */
export const startProcess: StartProcess = async ({ program, user, output, log, onMessage }) => {
  const pair = await openDescriptorPair();
  const own = program ?? ownProgram();
  const args = [
    `--max-semi-space-size=${youngMegabytes}`,
    "--disallow-code-generation-from-strings",
    own,
    String(inbox),
    ...(user ? [String(user.uid), String(user.gid)] : []),
  ];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", output ?? "ignore", "pipe", "ipc", pair.remote],
    serialization: "advanced",
    // Nothing of this process's surroundings is its business: no kubeconfig, no token.
    env: { PATH: "/usr/bin:/bin" },
    detached: true,
  });
  let said = "";
  child.stderr?.setEncoding("utf8");
  child.stderr?.on("data", (chunk: string) => {
    said = (said + chunk).slice(-saidBytes);
    log.warn({ process: child.pid, said: chunk.trim() }, "a process that serves HTTP complains");
  });
  let isOver = false;
  const ended = new Promise<string>((resolve) => {
    const over = (why: string): void => {
      isOver = true;
      pair.close();
      resolve(why);
    };
    child.once("error", (error) => over(error.message));
    child.once("exit", (code, signal) => setImmediate(() => over(`${signal ?? `exit ${code}`} ${said.trim()}`.trim())));
  });
  const ready = new Promise<void>((resolve) => child.once("message", () => resolve()));
  await Promise.race([ready, ended]);
  if (isOver || child.pid === undefined) throw new Error(`a process that serves HTTP does not start: ${await ended}`);
  pair.closeRemote();
  child.on("message", (message) => onMessage(message as FromWorker));
  return {
    pid: child.pid,
    ended,
    kill: () => void child.kill("SIGKILL"),
    send(message, descriptors = []) {
      if (isOver || !child.connected) return;
      for (const fd of descriptors) pair.send(fd);
      // Whether it has arrived is told by its answer; whether it never will, by the end of the process.
      child.send(message, () => {});
    },
  };
};
