import { type ChildProcess, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import type { Program } from "./protocol.ts";
import { openPty, type Pty, withTerminal } from "./pty.ts";

/** A process of a container with its streams; it leads a process group of its own. */
export interface Child {
  readonly process: ChildProcess;
  readonly pid: number;
  readonly stdin: Writable | undefined;
  /** With a terminal all output is here. */
  readonly stdout: Readable;
  readonly stderr: Readable | undefined;
  readonly pty: Pty | undefined;
}

/** Starts a program. Rejects when it cannot be started. */
export async function startChild(
  program: Program,
  { tty, stdin }: { readonly tty: boolean; readonly stdin: boolean },
): Promise<Child> {
  const pty = tty ? await openPty() : undefined;
  const [file = "", ...args] = pty ? [...withTerminal, ...program.argv] : program.argv;
  let child: ChildProcess;
  try {
    child = spawn(file, args, {
      // `setsid` makes the group where there is a terminal; it would fork if the process led one already.
      detached: !pty,
      stdio: pty ? [pty.peer, pty.peer, pty.peer] : [stdin ? "pipe" : "ignore", "pipe", "pipe"],
      env: program.env,
      ...(program.cwd === undefined ? {} : { cwd: program.cwd }),
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
  } catch (error) {
    pty?.release();
    throw error;
  }
  child.on("error", () => {});
  const master = pty?.master();
  pty?.release();
  master?.on("error", () => master.destroy());
  child.stdin?.on("error", () => {});
  const stdout = master ?? child.stdout;
  if (!stdout) throw new Error("a process without output");
  return {
    process: child,
    pid: child.pid ?? 0,
    stdin: (stdin ? (master ?? child.stdin) : undefined) ?? undefined,
    stdout,
    stderr: child.stderr ?? undefined,
    pty,
  };
}

/** Settles with the exit code when it has ended and its output is read; `lastOutputMs` after the end whatever still holds the output. */
export function endOf(
  child: Child,
  lastOutputMs: number,
  onExit: () => void,
): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve) => {
    let open = child.stderr ? 2 : 1;
    let exit: { code: number | null; signal: NodeJS.Signals | null } | undefined;
    let timer: NodeJS.Timeout | undefined;
    const finish = (): void => {
      if (!exit || open > 0) return;
      clearTimeout(timer);
      resolve(exit);
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream?.once("close", () => {
        open--;
        finish();
      });
    }
    child.process.once("exit", (code, signal) => {
      exit = { code, signal };
      onExit();
      timer = setTimeout(() => {
        child.stdout.destroy();
        child.stderr?.destroy();
      }, lastOutputMs);
      finish();
    });
  });
}
