import { rmSync } from "node:fs";
import { constants } from "node:os";
import { type Attachment, createLive, type Live } from "./attach.ts";
import { type Child, endOf, startChild } from "./child.ts";
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
  /** Settles when a running container has ended; undefined when it does not run. */
  ended(id: string): Promise<void> | undefined;
  /** Joins its output and input; undefined when it does not run. */
  attach(id: string, ...how: Parameters<Live["attach"]>): Attachment | undefined;
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
  const lives = new Map<string, Live>();

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

  const watch = async (record: HeldContainer, child: Child, live: Live): Promise<void> => {
    const log = createLogWriter(record.logPath, now, options.logLimits);
    live.follow((stream, chunk) => log.write(stream, chunk));
    let finishedAt = now();
    const { code, signal: signalName } = await endOf(child, lastOutputMs, () => {
      finishedAt = now();
      // A container ends with its first process: nothing of its group may linger.
      signalGroup(child.pid, "SIGKILL");
    });
    log.end();
    child.stdin?.destroy();
    const signal = signalName ? constants.signals[signalName] : undefined;
    records.put({
      ...(records.get(record.id) ?? record),
      state: "exited",
      finishedAt,
      exitCode: code ?? 128 + (signal ?? 0),
      ...(signal === undefined ? {} : { signal }),
    });
    ends.delete(record.id);
    lives.delete(record.id);
    changed(record.podUid);
  };

  const signal = (id: string, name: string): void => {
    const record = records.get(id);
    if (!(name in constants.signals)) throw new Error(`no signal ${name}`);
    if (record?.state === "running" && record.pid !== undefined) signalGroup(record.pid, name as NodeJS.Signals);
  };

  return {
    signal,
    async start(id, program) {
      const record = found(id);
      if (record.state !== "created") throw new Error(`container ${id} was started before`);
      let child: Child;
      try {
        child = await startChild(program, { tty: program.tty ?? false, stdin: program.stdin ?? false });
      } catch (error) {
        failed(record, error instanceof Error ? error.message : String(error));
        throw error;
      }
      const { pid } = child;
      const pidStart = processStart(pid);
      const running = { state: "running", startedAt: now(), pid, ...(pidStart ? { pidStart } : {}) } as const;
      records.put({ ...record, ...running });
      const live = createLive(child, { once: program.stdinOnce ?? false, ended: () => ends.get(id) });
      lives.set(id, live);
      ends.set(id, watch(record, child, live));
      changed(record.podUid);
      return pid;
    },
    ended: (id) => ends.get(id),
    attach: (id, ...how) => lives.get(id)?.attach(...how),
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
