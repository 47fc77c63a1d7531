import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { type ExecResult, RuntimeError } from "./runtime.ts";
import type { Program } from "./supervisor/protocol.ts";

/** What is kept of each stream: a probe's message needs no more. */
const outputLimit = 64 << 10;

/** Runs `argv` with exactly `env`, in a process group of its own that is killed when time is up. */
export function execWithin(options: Program & { readonly timeoutMs: number }): Promise<ExecResult> {
  return new Promise((resolve, reject) => {
    const { argv, env, cwd } = options;
    const [file = "", ...args] = argv;
    const child = spawn(file, args, {
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env,
      ...(cwd === undefined ? {} : { cwd }),
    });
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text: string) => {
        if (output[name].length < outputLimit) output[name] += text;
      });
    }
    const timer = setTimeout(() => {
      if (child.pid !== undefined) kill(child.pid);
      // Whoever left the group may still hold the pipes.
      child.stdout.destroy();
      child.stderr.destroy();
      reject(new RuntimeError("TIMEOUT", `command "${argv.join(" ")}" timed out`));
    }, options.timeoutMs);
    child.once("error", (error) => {
      clearTimeout(timer);
      reject(new RuntimeError("START_FAILED", error.message));
    });
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ ...output, exitCode: code ?? 128 + (signal ? constants.signals[signal] : 0) });
    });
  });
}

/** The environment a process was started with. */
export function environmentOf(pid: number): Record<string, string> {
  const entries = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  return Object.fromEntries(
    entries
      .filter((entry) => entry.includes("="))
      .map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]),
  );
}

function kill(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It ended at the same moment.
  }
}
