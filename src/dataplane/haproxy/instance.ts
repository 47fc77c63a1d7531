import { type ChildProcess, spawn } from "node:child_process";
import type { Logger } from "../../system/index.ts";
import { commands } from "./command.ts";
import { insideSuffix } from "./config.ts";
import { connectRuntime, type Runtime, runQuietly } from "./runtime.ts";

/** A process of HAProxy that serves. */
export interface Instance {
  readonly pid: number;
  readonly runtime: Runtime;
  /** Settles when it has ended, with what it said last. */
  readonly ended: Promise<string>;
  /**
   * Lets go of the listening sockets of these frontends; each connection that it has ends with its next answer (HTTP/2 is told to go). Its backends stay as they are, so
   * that it takes every command: told to drain, HAProxy takes none for servers. Throws `CommandRefused`, or when it has ended.
   */
  shut(frontends: readonly string[]): Promise<void>;
  /** Settles when it has no connection left, `patience` milliseconds later, or when the signal aborts. */
  untilEmpty(patience: number, signal: AbortSignal): Promise<void>;
  /**
   * Takes no new connection; ends when the last one is done, `grace` milliseconds later at the latest. Connections without
   * a request are kept for one more, whose answer says that it is the last, or are closed. Its runtime answers while it has any.
   */
  drain(grace: number, idle?: "kept" | "closed"): Promise<void>;
}

export interface InstanceOptions {
  readonly program: string;
  readonly config: string;
  /** Of the runtime API. */
  readonly socket: string;
  /** Listening sockets, in the process from descriptor 3 on. */
  readonly sockets: readonly number[];
  /** Whom it runs as. */
  readonly user?: { readonly uid: number; readonly gid: number };
  readonly log: Logger;
  /** Gets what it says on standard output. Absent: it has none. */
  readonly output?: (chunk: Buffer) => void;
}

/** HAProxy cannot be started, or ended before it served. */
export class StartError extends Error {
  readonly code = "HAPROXY_START";
}

/** The first descriptor that is handed over. */
export const firstFd = 3;

const saidBytes = 4_000;

/** Milliseconds between looks whether a process that ends has anything left. */
const lookEvery = 100;

/** Where HAProxy is looked for, whatever the surroundings of this process say. */
export const surroundings = { PATH: "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/sbin:/bin" };

/** Starts a process and waits until it serves. Throws `StartError` with what it says when it does not. */
export async function startInstance(options: InstanceOptions): Promise<Instance> {
  const { program, config, socket, sockets, user, log } = options;
  const child: ChildProcess = spawn(program, ["-db", "-f", config], {
    stdio: ["ignore", options.output ? "pipe" : "ignore", "pipe", ...sockets],
    // Nothing of this process's surroundings is its business.
    env: surroundings,
    cwd: "/",
    ...user,
  });
  let said = "";
  if (options.output) child.stdout?.on("data", options.output);
  child.stderr?.setEncoding("utf8");
  child.stderr?.on("data", (chunk: string) => {
    said = (said + chunk).slice(-saidBytes);
    for (const line of chunk.split("\n"))
      if (/ALERT|EMERG/.test(line)) log.warn({ haproxy: line.trim() }, "HAProxy complains");
  });
  let isOver = false;
  const ended = new Promise<string>((resolve) => {
    const over = (why: string): void => {
      isOver = true;
      resolve(why);
    };
    child.once("error", (error) => over(error.message));
    child.once("exit", (code, signal) => setImmediate(() => over(`${signal ?? `exit ${code}`}: ${said.trim()}`)));
  });
  const runtime = await untilServing(socket, ended, () => isOver);
  if (child.pid === undefined) throw new StartError("no process");
  return {
    pid: child.pid,
    runtime,
    ended,
    async shut(frontends) {
      for (const each of frontends) await runQuietly(runtime, commands.shutFrontend(each), /already shut down/i);
    },
    untilEmpty: (patience, signal) =>
      untilFigure(runtime, /^CurrConns: (\d+)$/m, 0, () => isOver || signal.aborted, patience),
    async drain(grace, idle = "kept") {
      if (isOver) return;
      child.kill("SIGUSR1");
      const timer = setTimeout(() => child.kill("SIGTERM"), grace);
      const last = setTimeout(() => child.kill("SIGKILL"), grace + 2_000);
      if (idle === "closed" && (await untilIdle(runtime, () => isOver))) child.kill("SIGTERM");
      // The last is our own, which keeps it from ending.
      if (idle === "kept") await untilFigure(runtime, /^Jobs: (\d+)$/m, 1, () => isOver);
      runtime.close();
      await ended;
      clearTimeout(timer);
      clearTimeout(last);
    },
  };
}

async function untilServing(socket: string, ended: Promise<string>, isOver: () => boolean): Promise<Runtime> {
  while (!isOver()) {
    try {
      const runtime = await connectRuntime(socket);
      await runtime.run(commands.info);
      return runtime;
    } catch {
      // Not yet.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  throw new StartError(`HAProxy does not start: ${await ended}`);
}

/** Settles when a figure of the process is this one or less, it has ended, or time is over. */
async function untilFigure(
  runtime: Runtime,
  figure: RegExp,
  most: number,
  isOver: () => boolean,
  patience = Infinity,
): Promise<void> {
  const end = performance.now() + patience;
  try {
    while (!isOver() && performance.now() < end) {
      if (Number(figure.exec(await runtime.run(commands.info))?.[1] ?? 0) <= most) return;
      await new Promise((resolve) => setTimeout(resolve, lookEvery));
    }
  } catch {
    // It has ended.
  }
}

/** A connection that is only handed on: a request on it has a line of its own. */
const isHandedOn = (line: string): boolean => line.includes(`${insideSuffix} `);

/** True when no request is under way but our own; false when that cannot be known. */
async function untilIdle(runtime: Runtime, isOver: () => boolean): Promise<boolean> {
  try {
    for (;;) {
      if (isOver()) return false;
      const sessions = (await runtime.run(commands.sessions)).split("\n").filter((line) => line.startsWith("0x"));
      if (sessions.filter((line) => !isHandedOn(line)).length <= 1) return true;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  } catch {
    return false;
  }
}
