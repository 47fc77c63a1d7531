import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { constants } from "node:os";
import { createLogWriter, type LogLimits } from "./log-writer.ts";
import { processStart, signalGroup } from "./process-identity.ts";
import type { HeldContainer, Program } from "./protocol.ts";
import type { Records } from "./records.ts";

/** How long the output of an ended container is waited for: a grandchild that left its group may hold the pipe. */
const lastOutputMs = 2_000;

export interface Containers {
  start(id: string, program: Program): Promise<number>;
  signal(id: string, signal: string): void;
  /** Kills it when it runs; settles when it has ended and is forgotten. */
  delete(id: string): Promise<void>;
  killAll(): Promise<void>;
}

/**
 * Holds the processes: one group each, output into the log, the end recorded. What the records call running but a
 * former supervisor held is killed first: its output has no reader any more, and nobody would learn of its end.
 */
export function createContainers(
  records: Records<HeldContainer>,
  options: { readonly changed: (podUid: string) => void; readonly now: () => number; readonly logLimits?: LogLimits },
): Containers {
  const { changed, now } = options;
  const ends = new Map<string, Promise<void>>();

  for (const record of records.all()) {
    if (record.state !== "running") continue;
    if (record.pid !== undefined && processStart(record.pid) === record.pidStart) signalGroup(record.pid, "SIGKILL");
    records.put({
      ...record,
      state: "exited",
      finishedAt: now(),
      exitCode: 137,
      reason: "ContainerStatusUnknown",
      message: "The process that held this container ended, so the container was ended too",
    });
  }

  const found = (id: string): HeldContainer => {
    const record = records.get(id);
    if (!record) throw new Error(`no container ${id}`);
    return record;
  };

  const failed = (record: HeldContainer, message: string): void => {
    const at = now();
    const ended = { startedAt: at, finishedAt: at, exitCode: 128, reason: "StartError", message };
    records.put({ ...record, state: "exited", ...ended });
    changed(record.podUid);
  };

  const watch = (record: HeldContainer, child: ChildProcess): Promise<void> =>
    new Promise((done) => {
      const log = createLogWriter(record.logPath, now, options.logLimits);
      child.stdout?.on("data", (chunk: Buffer) => log.write("stdout", chunk));
      child.stderr?.on("data", (chunk: Buffer) => log.write("stderr", chunk));
      child.once("exit", (code, signalName) => {
        const finishedAt = now();
        const signal = signalName ? constants.signals[signalName] : undefined;
        // A container ends with its first process: nothing of its group may linger.
        if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL");
        let closed = false;
        const close = (): void => {
          if (closed) return;
          closed = true;
          clearTimeout(timer);
          log.end();
          const exitCode = code ?? 128 + (signal ?? 0);
          records.put({
            ...(records.get(record.id) ?? record),
            state: "exited",
            finishedAt,
            exitCode,
            ...(signal === undefined ? {} : { signal }),
          });
          ends.delete(record.id);
          changed(record.podUid);
          done();
        };
        const timer = setTimeout(close, lastOutputMs);
        child.once("close", close);
      });
    });

  const signal = (id: string, name: string): void => {
    const record = records.get(id);
    if (!(name in constants.signals)) throw new Error(`no signal ${name}`);
    if (record?.state === "running" && record.pid !== undefined) signalGroup(record.pid, name as NodeJS.Signals);
  };

  return {
    signal,
    start(id, program) {
      const record = found(id);
      if (record.state !== "created") throw new Error(`container ${id} was started before`);
      const [file = "", ...args] = program.argv;
      return new Promise((resolve, reject) => {
        const refuse = (error: Error): void => {
          failed(record, error.message);
          reject(error);
        };
        let child: ChildProcess;
        try {
          child = spawn(file, args, {
            detached: true,
            stdio: ["ignore", "pipe", "pipe"],
            env: program.env,
            ...(program.cwd === undefined ? {} : { cwd: program.cwd }),
          });
        } catch (error) {
          refuse(error as Error);
          return;
        }
        child.once("error", refuse);
        child.once("spawn", () => {
          child.off("error", refuse);
          child.on("error", () => {});
          const pid = child.pid ?? 0;
          const pidStart = processStart(pid);
          const running = { state: "running", startedAt: now(), pid, ...(pidStart ? { pidStart } : {}) } as const;
          records.put({ ...record, ...running });
          ends.set(id, watch(record, child));
          changed(record.podUid);
          resolve(pid);
        });
      });
    },
    async delete(id) {
      const record = records.get(id);
      if (!record) return;
      signal(id, "SIGKILL");
      await ends.get(id);
      records.delete(id);
      for (const path of [record.logPath, ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((i) => `${record.logPath}.${i}`)]) {
        rmSync(path, { force: true });
      }
    },
    async killAll() {
      for (const record of records.all()) signal(record.id, "SIGKILL");
      await Promise.all(ends.values());
    },
  };
}
