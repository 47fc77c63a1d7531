import { spawn } from "node:child_process";

export interface CommandResult {
  /** Exit code; 128 + signal number when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly input?: string | Uint8Array;
  readonly signal?: AbortSignal;
  /** Milliseconds; the command is killed after that. Default 30 s. */
  readonly timeout?: number;
  readonly env?: Record<string, string>;
}

/** Runs a program to its end. Arguments are an array: there is never a shell. */
export interface CommandRunner {
  /** Resolves with the result whatever the exit code. Throws `CommandError` only when the program cannot be started. */
  run(file: string, args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
}

/** A program could not be started, or ended with a code other than 0 where 0 was needed. */
export class CommandError extends Error {
  readonly code: "NOT_FOUND" | "NOT_PERMITTED" | "FAILED";
  readonly file: string;
  readonly result: CommandResult | undefined;

  constructor(code: CommandError["code"], file: string, message: string, result?: CommandResult) {
    super(message);
    this.name = "CommandError";
    this.code = code;
    this.file = file;
    this.result = result;
  }
}

/** Like `runner.run`, but an exit code other than 0 throws `CommandError` with what the program said. */
export async function runOrThrow(
  runner: CommandRunner,
  file: string,
  args: readonly string[],
  options?: CommandOptions,
): Promise<string> {
  const result = await runner.run(file, args, options);
  if (result.code !== 0) {
    const said = result.stderr.trim() || result.stdout.trim();
    throw new CommandError("FAILED", file, `${file} ${args.join(" ")}: exit ${result.code}: ${said}`, result);
  }
  return result.stdout;
}

const outputLimit = 64 << 20;

export const systemCommands: CommandRunner = {
  run(file, args, options = {}) {
    return new Promise((resolve, reject) => {
      const child = spawn(file, args, {
        stdio: ["pipe", "pipe", "pipe"],
        timeout: options.timeout ?? 30_000,
        killSignal: "SIGKILL",
        ...(options.signal ? { signal: options.signal } : {}),
        ...(options.env ? { env: { ...process.env, ...options.env } } : {}),
      });
      const out = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
      let size = 0;
      for (const name of ["stdout", "stderr"] as const) {
        child[name].on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size <= outputLimit) out[name].push(chunk);
        });
      }
      child.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") reject(new CommandError("NOT_FOUND", file, `${file} is not installed`));
        else if (error.code === "EACCES" || error.code === "EPERM")
          reject(new CommandError("NOT_PERMITTED", file, `${file} may not be run by this user`));
        else reject(error);
      });
      child.on("close", (code, signal) => {
        resolve({
          code: code ?? (signal === "SIGKILL" ? 137 : 143),
          stdout: Buffer.concat(out.stdout).toString(),
          stderr: Buffer.concat(out.stderr).toString(),
        });
      });
      // A program that ends before it has read its input closes the pipe: its exit code tells, not EPIPE.
      child.stdin.on("error", () => {});
      child.stdin.end(options.input ?? "");
    });
  },
};
