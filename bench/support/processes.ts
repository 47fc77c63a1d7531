import { readdir, readFile } from "node:fs/promises";

/** What the processes of a cluster have used, and hold: all that name its directory in their arguments. */
export interface Usage {
  /** Microseconds of CPU since they began, in user and system time, of all threads. The kernel counts in steps of 10,000. */
  readonly cpu: number;
  /** Resident megabytes. */
  readonly resident: number;
}

/** Microseconds of one tick of the kernel's accounting (`USER_HZ`, 100 on all platforms of Linux). */
const tick = 10_000;

export async function usageOf(directory: string): Promise<Usage> {
  let cpu = 0;
  let kilobytes = 0;
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    if (Number(pid) === process.pid) continue;
    const read = (file: string) => readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
    if (!(await read("cmdline")).includes(directory)) continue;
    kilobytes += Number(/^VmRSS:\s+(\d+)/m.exec(await read("status"))?.[1] ?? 0);
    const stat = await read("stat");
    // The name of the program, in parentheses, may hold blanks.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    cpu += (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * tick;
  }
  return { cpu, resident: kilobytes / 1024 };
}
