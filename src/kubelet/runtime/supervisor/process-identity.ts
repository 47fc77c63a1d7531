import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Field 22 of /proc/PID/stat: when the process began. Undefined when there is no such process. */
export function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in parentheses may hold anything, so count from its end.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

/** Signals a whole process group; one that is gone is fine. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Where the supervisor that keeps its records in `directory` writes its process id and, after a blank, when it began. */
export const supervisorPidFile = (directory: string): string => join(directory, "supervisor.pid");
