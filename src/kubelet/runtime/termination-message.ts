import { openSync, readSync, closeSync } from "node:fs";
import type { Clock } from "../../system/index.ts";
import { readLog } from "../logs/read-log.ts";
import type { ContainerRecord } from "./runtime.ts";

/** Where a container says why it ended (`terminationMessagePath`). */
export interface TerminationLog {
  /** The file on the node, which is mounted at `target`. */
  readonly file: string;
  readonly target: string;
  /** What it wrote last stands for the message of one that failed without saying why (`FallbackToLogsOnError`). */
  readonly fallback: boolean;
}

/** Bytes of a message at most, and of output that stands for one, as upstream. */
const messageBytes = 4096;
const outputBytes = 2048;
const outputLines = 80;

/** The message of a container that has ended; undefined when it left none. */
export async function terminationMessage(
  log: Pick<TerminationLog, "file" | "fallback">,
  { logPath, exitCode }: Pick<ContainerRecord, "logPath" | "exitCode">,
  clock: Clock,
): Promise<string | undefined> {
  const own = beginningOf(log.file);
  if (own || !log.fallback || exitCode === 0) return own || undefined;
  const parts: Buffer[] = [];
  const { signal } = new AbortController();
  const output = readLog(logPath, { tailLines: outputLines, follow: false, isOpen: async () => false, signal, clock });
  for await (const part of output) parts.push(part);
  return Buffer.concat(parts).subarray(-outputBytes).toString() || undefined;
}

function beginningOf(file: string): string {
  let open: number | undefined;
  try {
    open = openSync(file, "r");
    const buffer = Buffer.alloc(messageBytes);
    return buffer.toString("utf8", 0, readSync(open, buffer));
  } catch {
    // It has none: its runtime could not mount it.
    return "";
  } finally {
    if (open !== undefined) closeSync(open);
  }
}
