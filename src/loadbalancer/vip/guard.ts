import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

/** A program that runs until it ends, and what is done then whether or not this process is there to do it. */
export interface Guarded {
  /** Process of the program itself; undefined: it could not be started. */
  readonly pid: number | undefined;
  /** How it ended, once what follows is done too. */
  readonly ended: Promise<string>;
}

/**
 * Waits for the program and takes the addresses off at once when it is gone, whatever ended it: others take over within three adverts, and this
 * process may be busy, or gone itself. Constant; what differs are its arguments.
 */
const script = [
  "off=$1; shift",
  '"$@" 3>&- &',
  "pid=$!",
  "echo $pid >&3",
  "exec 3>&-",
  // It has until the third missing advert, on a machine that may be busy. Where that is not allowed it goes on as it is.
  "renice -n -20 -p $$ >/dev/null 2>&1",
  "wait $pid",
  "code=$?",
  '[ -s "$off" ] && ip -force -batch "$off" >/dev/null 2>&1',
  "exit $code",
].join("\n");

/** Starts a program under a guard that runs `ip -batch off` when it ends. Both outlive this process. `log` is a file descriptor. */
export async function startGuarded(program: readonly string[], off: string, log: number): Promise<Guarded> {
  const child = spawn("sh", ["-c", script, "fairlead-guard", off, ...program], {
    stdio: ["ignore", log, log, "pipe"],
    // A fault of ours moves no address.
    detached: true,
  });
  child.unref();
  const ended = new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("exit", (code, by) => resolve(by ? `ended by ${by}` : `exit ${code ?? ""}`));
  });
  const told = child.stdio[3] as Readable;
  told.on("error", () => {});
  const lines = createInterface({ input: told });
  const first = new Promise<string>((resolve) => lines.once("line", resolve).once("close", () => resolve("")));
  const pid = Number(await Promise.race([first, ended.then(() => "")]));
  lines.close();
  told.destroy();
  return { pid: Number.isInteger(pid) && pid > 1 ? pid : undefined, ended };
}
