import { readFileSync, readlinkSync } from "node:fs";
import type { CommandRunner } from "../../system/index.ts";
import { runtimeDirectory } from "./supervisor/connection.ts";
import { processStart, supervisorPidFile } from "./supervisor/process-identity.ts";

/**
 * The supervisor starts the containers, so their network namespaces must be mounted where it is. A kubelet may come back
 * in another mount namespace (`ip netns exec` makes a new one each time): then it does its work in the supervisor's.
 */
export function besideSupervisor(dir: string, commands: CommandRunner): CommandRunner {
  return {
    run(file, args, options) {
      const [first = file, ...rest] = [...supervisorPrefix(dir), file, ...args];
      return commands.run(first, rest, options);
    },
  };
}

/** The argument array that comes before a command to run it where the supervisor of `dir` is; empty when that is here. */
function supervisorPrefix(dir: string): string[] {
  const pid = foreignSupervisor(dir);
  return pid === undefined ? [] : ["nsenter", `--mount=/proc/${pid}/ns/mnt`, "--"];
}

/** Process id of the supervisor when it is in another mount namespace than this process. */
function foreignSupervisor(dir: string): number | undefined {
  try {
    const [pid = "", start] = readFileSync(supervisorPidFile(runtimeDirectory(dir)), "utf8")
      .trim()
      .split(" ");
    const namespace = (of: string): string => readlinkSync(`/proc/${of}/ns/mnt`);
    if (processStart(Number(pid)) !== start || namespace(pid) === namespace("self")) return undefined;
    return Number(pid);
  } catch {
    // There is none, or it is ending.
    return undefined;
  }
}
