import { readFile } from "node:fs/promises";
import { connect } from "node:net";

/** Milliseconds that connections of a process without an owner get. */
const grace = 10_000;

/** What is written down about processes, so that a later start finds them. */
export interface Written {
  readonly pid: number;
  /** Of its runtime API. */
  readonly socket: string;
  readonly config: string;
  /** Processes that it has taken over from, and that may still have connections. */
  readonly others: readonly number[];
}

export function pidFile(directory: string): string {
  return `${directory}/process.json`;
}

/**
 * Ends the processes that a Fairlead left behind which was killed: until now they have served. Settles when they have let go of their
 * ports; they go on with the requests that they have.
 */
export async function endOrphan(directory: string): Promise<void> {
  const text = await readFile(pidFile(directory), "utf8").catch(() => undefined);
  if (text === undefined) return;
  const { pid, socket, config, others } = JSON.parse(text) as Written;
  for (const each of [...others, pid]) await end(each, config);
  await untilDeaf(socket);
}

async function end(pid: number, config: string): Promise<void> {
  // Numbers of processes are used again: it must be one that was started with our file.
  const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  if (!command.split("\0").includes(config)) return;
  const signalled = (name: NodeJS.Signals): void => {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended.
    }
  };
  signalled("SIGUSR1");
  setTimeout(() => signalled("SIGTERM"), grace).unref();
}

/** Settles when a process that was told to drain listens no more, on its runtime socket as on its ports; after two seconds in any case. */
export async function untilDeaf(socket: string): Promise<void> {
  for (let i = 0; i < 200 && (await answers(socket)); i++) await new Promise((resolve) => setTimeout(resolve, 10));
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
