import { readFile, rm, writeFile } from "node:fs/promises";
import { systemCodeOf } from "./errors.ts";

/**
 * When a process was started, in clock ticks since boot, from /proc/PID/stat; undefined when there is none. With the
 * process id it names one process for ever: ids are used again, even by the same program.
 */
async function startTimeOf(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses and may hold blanks; the start time is the 20th after it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Process that a file names; undefined when it does not run any more, also after a crash or a reboot. */
export async function runningProcess(path: string): Promise<number | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT" || systemCodeOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
  const [pid, started] = text.trim().split(" ");
  if (!pid || !/^\d+$/.test(pid)) return undefined;
  return (await startTimeOf(Number(pid))) === started ? Number(pid) : undefined;
}

/**
 * Writes this process into a file that at most one process holds at a time. Answers the process that holds it already, or
 * how to give it back.
 */
export async function takeProcessFile(path: string): Promise<{ holder: number } | { giveBack: () => Promise<void> }> {
  const line = `${process.pid} ${(await startTimeOf(process.pid)) ?? ""}\n`;
  for (;;) {
    try {
      await writeFile(path, line, { flag: "wx", mode: 0o600 });
      return { giveBack: () => rm(path, { force: true }) };
    } catch (error) {
      if (systemCodeOf(error) !== "EEXIST") throw error;
    }
    const holder = await runningProcess(path);
    if (holder !== undefined) return { holder };
    await rm(path, { force: true });
  }
}

/**
 * Ends the process that a file names: SIGTERM, and SIGKILL when it has not gone after `patience` milliseconds. Settles when
 * it has gone. Answers whether there was one. Throws the system's EPERM when it belongs to somebody else.
 */
export async function endProcess(path: string, patience: number): Promise<boolean> {
  const pid = await runningProcess(path);
  if (pid === undefined) return false;
  process.kill(pid, "SIGTERM");
  const until = Date.now() + patience;
  let killed = false;
  while ((await runningProcess(path)) === pid) {
    if (!killed && Date.now() > until) {
      process.kill(pid, "SIGKILL");
      killed = true;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await rm(path, { force: true });
  return true;
}
