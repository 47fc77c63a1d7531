import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { keep, openShelf } from "./corpus.ts";
import { mostBytes } from "./mutate.ts";
import { targets } from "./targets/index.ts";
import type { Found, Work } from "./worker.ts";

// Fuzzing of all that reads what others wrote. Usage: npm run fuzz -- [target ...] [--minutes N] [--seed S] [--part K/N] [--keep]
// N minutes in all (1 when it is not said), shared by the targets. What is found is written to .cache/fuzz/found/, with --keep also
// inputs with outcomes that are new to .cache/fuzz/new/, 2,000 files and 8 MiB of each target at most. Exit code 1: something was found.

/** Milliseconds of processor time that one input may take. */
const mostTime = 1000;
/** Megabytes that the heap of a worker may grow to. */
const mostMemory = 768;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    part: { type: "string", default: "1/1" },
    keep: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log("npm run fuzz -- [target ...] [--minutes N] [--seed S] [--part K/N] [--keep]");
  console.log(`targets: ${targets.map(({ name }) => name).join(", ")}`);
  process.exit(0);
}
const root = process.env["FUZZ_ROOT"] ?? process.cwd();
const [part = 1, parts = 1] = values.part.split("/").map(Number);
const unknown = positionals.filter((name) => !targets.some((target) => target.name === name));
if (unknown.length > 0) {
  console.error(`no target ${unknown.join(", ")}: there are ${targets.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}
const chosen = targets.filter(
  ({ name }, i) => (positionals.length === 0 || positionals.includes(name)) && i % parts === part - 1,
);
const duration = (Number(values.minutes) * 60_000) / Math.max(1, chosen.length);
const seed = Number(values.seed);
console.log(
  `seed ${seed}, ${chosen.length} targets, ${(duration / 1000).toFixed(0)} s each, ${availableParallelism()} processors`,
);

let findings = 0;
function report(target: string, input: Uint8Array, what: string): void {
  findings++;
  const path = keep(join(root, ".cache/fuzz/found"), target, input);
  console.log(`FOUND ${target}: ${what}\n  input: ${path}`);
}

/** One worker on one target until its time is over; one that hangs or grows is ended and its input reported. */
async function run(target: string, seed: number, left: number): Promise<number> {
  const shared = new SharedArrayBuffer(8 + mostBytes);
  const numbers = new Int32Array(shared, 0, 2);
  const current = (): Uint8Array => Uint8Array.from(new Uint8Array(shared, 8, Math.min(numbers[1] ?? 0, mostBytes)));
  const workerData: Work = { target, seed, duration: left, corpus: join(root, "test/fuzz/corpus"), shared };
  const shelf = values.keep ? openShelf(join(root, ".cache/fuzz/new"), target) : undefined;
  const began = performance.now();
  let runs = 0;
  let restart = false;
  const worker = new Worker(new URL("./worker.js", import.meta.url), {
    workerData,
    resourceLimits: { maxOldGenerationSizeMb: mostMemory },
  });
  let [seen, spent] = [-1, process.cpuUsage()];
  const watchdog = setInterval(() => {
    const now = Atomics.load(numbers, 0);
    if (now !== seen) [seen, spent] = [now, process.cpuUsage()];
    else if (now > 0) {
      const { user, system } = process.cpuUsage(spent);
      if ((user + system) / 1000 < mostTime + 100) return;
      report(target, current(), `one input takes longer than ${mostTime} ms of processor time`);
      restart = true;
      void worker.terminate();
    }
  }, 50);
  worker.on("message", (found: Found) => {
    if (found.type === "broken") report(target, found.input, found.error);
    else if (found.type === "done") {
      ({ runs } = found);
      console.log(`${target}: ${found.runs} inputs, ${found.outcomes} outcomes`);
    } else shelf?.put(found.input);
  });
  await new Promise<void>((resolve) => {
    worker.on("error", (error: NodeJS.ErrnoException) => {
      report(target, current(), `the worker ended: ${error.code ?? ""} ${error.stack ?? error.message}`);
      restart = true;
    });
    worker.on("exit", () => resolve());
  });
  clearInterval(watchdog);
  const rest = left - (performance.now() - began);
  if (restart && rest > 1000 && findings < 200) return runs + (await run(target, seed + 1, rest));
  return runs;
}

let total = 0;
for (const [i, { name }] of chosen.entries()) total += await run(name, seed + i * 1000, duration);
console.log(`${total} inputs in all, ${findings} findings`);
process.exitCode = findings > 0 ? 1 : 0;
