import type { Writable } from "node:stream";
import type { Child } from "./child.ts";
import type { LogStream } from "./log-writer.ts";

/** A client that has joined the input and output of a running container. */
export interface Attachment {
  readonly stdin: Writable | undefined;
  /** Whether the container's input ends with the client's. */
  readonly once: boolean;
  readonly ended: Promise<void>;
  readonly resize: (columns: number, rows: number) => void;
  detach(hadInput: boolean): void;
}

/** The streams of a running container, for its log and for those who attach. */
export interface Live {
  /** Gives all output to the log, from the first byte on. */
  follow(log: (stream: LogStream, chunk: Buffer) => void): void;
  /**
   * Gives output from now on. `onOutput` answers a promise when its taker is full: the container's output waits until that settles,
   * but not for ever; one that is too slow is told so by `onSlow` and gets nothing more.
   */
  attach(onOutput: (stream: LogStream, chunk: Buffer) => Promise<void> | undefined, onSlow: () => void): Attachment;
}

/** Milliseconds that one attached client may hold up a container. */
const patience = 10_000;

export function createLive(
  child: Child,
  options: { readonly once: boolean; readonly ended: () => Promise<void> | undefined },
): Live {
  const takers = new Set<{ onOutput: Parameters<Live["attach"]>[0]; onSlow: () => void }>();
  const { once } = options;

  const held = new Map<LogStream, number>();
  const hold = (stream: LogStream, change: 1 | -1): void => {
    const source = stream === "stderr" ? child.stderr : child.stdout;
    const holders = (held.get(stream) ?? 0) + change;
    held.set(stream, holders);
    if (holders > 0) source?.pause();
    else source?.resume();
  };

  const pass = (stream: LogStream, chunk: Buffer): void => {
    for (const taker of takers) {
      const full = taker.onOutput(stream, chunk);
      if (!full) continue;
      hold(stream, 1);
      let over = false;
      const go = (): void => {
        if (!over) hold(stream, -1);
        over = true;
        clearTimeout(timer);
      };
      const timer = setTimeout(() => {
        takers.delete(taker);
        taker.onSlow();
        go();
      }, patience);
      void full.then(go);
    }
  };

  return {
    follow(log) {
      for (const [stream, source] of [["stdout", child.stdout] as const, ["stderr", child.stderr] as const]) {
        source?.on("data", (chunk: Buffer) => {
          log(stream, chunk);
          if (takers.size > 0) pass(stream, chunk);
        });
      }
    },
    attach(onOutput, onSlow) {
      const taker = { onOutput, onSlow };
      takers.add(taker);
      return {
        stdin: child.stdin,
        once: once && !child.pty,
        ended: options.ended() ?? Promise.resolve(),
        resize: (columns, rows) => child.pty?.resize(columns, rows),
        detach(hadInput) {
          takers.delete(taker);
          if (hadInput && once && !child.pty) child.stdin?.end();
        },
      };
    },
  };
}
