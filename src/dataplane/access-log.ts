import { write } from "node:fs";
import { promisify } from "node:util";
import type { Logger } from "../system/index.ts";
import type { Finished } from "./finished.ts";

/** Characters of what clients say, as far as they are kept. */
const longest = { target: 2_048, field: 512 } as const;

/** A trace's id (W3C Trace Context, section 3.2). */
const traceparent = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/;

const cut = (text: string | undefined, most: number): string | undefined =>
  text === undefined || text.length <= most ? text : text.slice(0, most);

/**
 * One line for a request that is done: a JSON object, so that nothing in it can end the line or be taken for another field. What is not
 * known is absent. Times are in milliseconds.
 */
export function accessLine(finished: Finished, now: number): string {
  const { id, method, host, target, protocol, client, header, route, pool, endpoint, code, bytes, milliseconds } =
    finished;
  const { kind, namespace, name } = route?.owner.object ?? {};
  const line = {
    time: new Date(now).toISOString(),
    request: id,
    client,
    method: cut(method, 32),
    host: cut(host, longest.field),
    target: cut(target, longest.target),
    protocol,
    status: code,
    bytes,
    milliseconds: Math.round(milliseconds * 1000) / 1000,
    ...(route ? { route: { kind, namespace, name, rule: route.owner.field } } : {}),
    ...(pool ? { backend: `${pool.service.namespace}/${pool.service.name}:${pool.port}` } : {}),
    endpoint,
    userAgent: cut(header("user-agent"), longest.field),
    referer: cut(header("referer"), longest.field),
    trace: finished.trace?.traceId ?? traceparent.exec(header("traceparent") ?? "")?.[1],
  };
  return `${JSON.stringify(line)}\n`;
}

/** What writes the line of each request to a log, but of those whose rule wants none. */
export function tellLines(lines: LineSink, now: () => number): (finished: Finished) => void {
  return (finished) => {
    if (!finished.route?.rule.unlogged) lines.write(accessLine(finished, now()));
  };
}

/** Where lines go. Never blocks and never fails: what cannot be written is left out. */
export interface LineSink {
  write(line: string): void;
  /** Settles when all that was written has gone out. */
  flush(): Promise<void>;
}

/** Writes text where lines go; the real one, or a fake in tests. */
export type AppendText = (text: string) => Promise<unknown>;

export interface LineSinkOptions {
  /** Milliseconds that a line waits for others at most. */
  readonly wait: number;
  /** Characters that wait at most; what comes beyond is left out. */
  readonly most: number;
  /** Told how many lines were left out, or could not be written. */
  readonly lost: (lines: number) => void;
}

/** Many lines are one write, and one write goes on at a time. */
export function createLineSink(append: AppendText, { wait, most, lost }: LineSinkOptions): LineSink {
  let lines: string[] = [];
  let size = 0;
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> | undefined;

  async function drain(): Promise<void> {
    while (lines.length > 0) {
      const now = lines;
      [lines, size] = [[], 0];
      await append(now.join("")).catch(() => lost(now.length));
    }
  }

  function begin(): void {
    clearTimeout(timer);
    timer = undefined;
    writing ??= drain().finally(() => (writing = undefined));
  }

  return {
    write(line) {
      if (size + line.length > most) return lost(1);
      lines.push(line);
      size += line.length;
      timer ??= setTimeout(begin, wait).unref();
    },
    async flush() {
      begin();
      await writing;
    },
  };
}

/** Milliseconds that a line waits for others, and characters that wait at most: a disk that stands still must not take the memory. */
const patience = { wait: 100, most: 8 << 20 } as const;

/** A log on a descriptor that was opened for appending; a process may share the file with others, as what is written at once stays together. */
export function openAccessLog(fd: number, log: Logger): LineSink {
  const put = promisify(write);
  let told = false;
  return createLineSink(
    async (text) => {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length;) at += (await put(fd, bytes, at)).bytesWritten;
    },
    {
      ...patience,
      lost(lines) {
        if (!told)
          log.warn({ lines }, "lines of the access log are lost: its file takes them too slowly, or not at all");
        told = true;
      },
    },
  );
}
