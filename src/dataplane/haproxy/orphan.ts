import { readFile } from "node:fs/promises";
import { connect } from "node:net";

/** Milliseconds that connections of a process without an owner get. */
const grace = 10_000;

/** What is written down about a process, so that a later start finds it. */
export function pidFile(directory: string): string {
  return `${directory}/process.json`;
}

/**
 * Ends a process that a Fairlead left behind which was killed: until now it has served. Settles when it has let go of its
 * ports; it goes on with the requests that it has.
 */
export async function endOrphan(directory: string): Promise<void> {
  const text = await readFile(pidFile(directory), "utf8").catch(() => undefined);
  if (text === undefined) return;
  const { pid, socket, config } = JSON.parse(text) as { pid: number; socket: string; config: string };
  // Numbers of processes are used again: it must be the one that was started with our file.
  const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  if (!command.split("\0").includes(config)) return;
  process.kill(pid, "SIGUSR1");
  setTimeout(() => {
    try {
      process.kill(pid, "SIGTERM");
    } catch {
      // It has ended.
    }
  }, grace).unref();
  await untilDeaf(socket);
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
