import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import type { Target } from "./by-hand.ts";

const run = promisify(execFile);

export interface Measured {
  /** Requests per second. */
  readonly rate: number;
  /** Microseconds of processor time for a request, of all processes of the target. */
  readonly cpu: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

/** One run of wrk: one thread, so many connections that are kept alive. Anything but 2xx is a fault of the benchmark. */
export async function measure(target: Target, connections: number, seconds: number): Promise<Measured> {
  const before = await processorTime(target.pid);
  const { stdout } = await run("wrk", [
    "-t1",
    `-c${connections}`,
    `-d${seconds}s`,
    "--latency",
    "--timeout",
    "20s",
    "-H",
    "Host: bench.test",
    `http://127.0.0.1:${target.port}/`,
  ]);
  const used = (await processorTime(target.pid)) - before;
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1] ?? 0);
  if (/Non-2xx|Socket errors/.test(stdout) || requests === 0) throw new Error(`${target.name}: ${stdout}`);
  return {
    rate: Number(/Requests\/sec:\s*([\d.]+)/.exec(stdout)?.[1]),
    cpu: (used / requests) * 1e6,
    p50: milliseconds(stdout, 50),
    p99: milliseconds(stdout, 99),
  };
}

function milliseconds(text: string, percent: number): number {
  const [, value, unit = ""] = new RegExp(`^\\s*${percent}%\\s+([\\d.]+)(us|ms|s)`, "m").exec(text) ?? [];
  return Number(value) * ({ us: 0.001, ms: 1, s: 1000 }[unit] ?? Number.NaN);
}

/** Seconds of processor time that a process and those it started have had. The kernel counts in steps of 10 ms. */
async function processorTime(pid: number): Promise<number> {
  const read = (file: string): Promise<string> => readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
  const stat = await read("stat");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  let total = (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / 100;
  const children = (await read(`task/${pid}/children`)).trim();
  for (const child of children === "" ? [] : children.split(" ")) total += await processorTime(Number(child));
  return total;
}
