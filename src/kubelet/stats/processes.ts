import { readdirSync, readFileSync } from "node:fs";

/** What processes have used. */
export interface TreeUsage extends Usage {
  /** Bytes of its memory that stand for no file. */
  readonly anonymous: number;
  readonly processes: number;
  readonly threads: number;
}

/** What processes, or the machine, have used. */
export interface Usage {
  /** Nanoseconds of processor time since they began. */
  readonly cpu: number;
  /** Bytes of memory that would not be there without them: shared pages are divided among those who share them. */
  readonly memory: number;
}

/** Linux counts processor time for others in hundredths of a second, whatever it does itself. */
const tick = 1e7;

interface Process {
  readonly parent: number;
  readonly cpu: number;
  readonly threads: number;
}

/** Reads which processes there are, once; then adds up any tree of them. */
export function readProcesses(): { tree(root: number): TreeUsage } {
  const processes = new Map<number, Process>();
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    const found = Number.isInteger(pid) ? readProcess(pid) : undefined;
    if (!found) continue;
    processes.set(pid, found);
    children.set(found.parent, [...(children.get(found.parent) ?? []), pid]);
  }
  return {
    tree(root) {
      let cpu = 0;
      let memory = 0;
      let anonymous = 0;
      let count = 0;
      let threads = 0;
      const waiting = [root];
      for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
        const found = processes.get(pid);
        if (!found) continue;
        cpu += found.cpu;
        const held = memoryOf(pid);
        memory += held.all;
        anonymous += held.anonymous;
        count++;
        threads += found.threads;
        waiting.push(...(children.get(pid) ?? []));
      }
      return { cpu, memory, anonymous, processes: count, threads };
    },
  };
}

function readProcess(pid: number): Process | undefined {
  const stat = text(`/proc/${pid}/stat`);
  // The name in parentheses may hold anything, so count from its end: fields 3 and on.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (fields.length < 18) return undefined;
  const number = (field: number): number => Number(fields[field - 3]);
  // With what children have used that have ended and were waited for.
  return { parent: number(4), cpu: (number(14) + number(15) + number(16) + number(17)) * tick, threads: number(20) };
}

/** Bytes: all, and those that stand for no file. */
function memoryOf(pid: number): { readonly all: number; readonly anonymous: number } {
  const bytesIn = (lines: string, name: string): number | undefined => {
    const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(lines)?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  };
  const shares = text(`/proc/${pid}/smaps_rollup`);
  const all = bytesIn(shares, "Pss");
  if (all !== undefined) return { all, anonymous: bytesIn(shares, "Pss_Anon") ?? all };
  const status = text(`/proc/${pid}/status`);
  const resident = bytesIn(status, "VmRSS") ?? 0;
  return { all: resident, anonymous: bytesIn(status, "RssAnon") ?? resident };
}

/** What the whole machine has used since it began, and what memory is left. */
export function readMachineUsage(): Usage & { readonly available: number } {
  const [, user, nice, system, , , irq, soft, steal] =
    text("/proc/stat").split("\n")[0]?.split(/\s+/).map(Number) ?? [];
  const busy = [user, nice, system, irq, soft, steal].reduce<number>((sum, part) => sum + (part ?? 0), 0);
  const memory = text("/proc/meminfo");
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(memory)?.[1] ?? 0) * 1024;
  const available = bytes("MemAvailable");
  return { cpu: busy * tick, memory: bytes("MemTotal") - available, available };
}

/** Empty for what is not there any more. */
function text(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
