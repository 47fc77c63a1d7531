import { type FileHandle, open } from "node:fs/promises";
import type { Clock } from "../../system/index.ts";
import { type LogFile, logFiles, tailStart } from "./log-files.ts";
import { parseLogLine } from "./log-line.ts";

export interface ReadLogOptions {
  readonly follow?: boolean;
  /** Put each line's time before it. */
  readonly timestamps?: boolean;
  readonly tailLines?: number;
  /** Only lines written at or after this, in milliseconds. */
  readonly since?: number;
  readonly limitBytes?: number;
  /** Whether more may come; asked while following. */
  readonly isOpen: () => Promise<boolean>;
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

/** While following, the file is looked at this often: cheaper than a watch for each reader, and it misses nothing. */
const pollMs = 100;

/** What a container wrote, over rotated files and, with `follow`, over rotations to come. */
export async function* readLog(path: string, options: ReadLogOptions): AsyncGenerator<Buffer> {
  let left = options.limitBytes ?? Infinity;
  const format = formatter(options);
  for await (const lines of readLines(path, options)) {
    const bytes = format(lines);
    if (bytes.length === 0) continue;
    yield bytes.length > left ? bytes.subarray(0, left) : bytes;
    left -= bytes.length;
    if (left <= 0) return;
  }
}

/** Raw lines without their line feeds, some at a time. */
async function* readLines(path: string, options: ReadLogOptions): AsyncGenerator<Buffer[]> {
  const { follow = false, tailLines, isOpen, signal, clock } = options;
  let files = logFiles(path);
  const start = tailLines === undefined ? { file: 0, offset: 0 } : tailStart(files, tailLines);
  let current = files[start.file];
  let { offset } = start;
  for (;;) {
    signal.throwIfAborted();
    if (!current) {
      // Nothing is written yet.
      if (!follow || !(await isOpen())) return;
      await clock.sleep(pollMs, signal);
      current = logFiles(path)[0];
      continue;
    }
    const handle = await openFile(current);
    if (!handle) {
      current = logFiles(path).find(({ inode }) => inode !== current?.inode);
      offset = 0;
      continue;
    }
    let next: LogFile | undefined;
    try {
      const read = lineReader(handle, offset);
      for (;;) {
        // Asked before reading: what is written until the end of the container is then surely read.
        const open = follow && (await isOpen());
        next = fileAfter((files = logFiles(path)), current);
        let lines = await read();
        const silent = lines.length === 0;
        for (; lines.length > 0; lines = await read()) yield lines;
        if (next) break;
        if (!open && silent) return;
        if (open) await clock.sleep(pollMs, signal);
      }
    } finally {
      await handle.close();
    }
    current = next;
    offset = 0;
  }
}

/** The file that was begun after `current`; when `current` is deleted, the oldest there is. */
function fileAfter(files: readonly LogFile[], current: LogFile): LogFile | undefined {
  const at = files.findIndex(({ inode }) => inode === current.inode);
  return at < 0 ? files[0] : files[at + 1];
}

async function openFile(file: LogFile): Promise<FileHandle | undefined> {
  // It may be moved aside between listing and opening: then another is opened and its inode tells.
  for (const path of [file.path, nextName(file.path)]) {
    try {
      const handle = await open(path, "r");
      if ((await handle.stat()).ino === file.inode) return handle;
      await handle.close();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
  return undefined;
}

function nextName(path: string): string {
  const match = /^(.*\.log)(?:\.(\d+))?$/.exec(path);
  return `${match?.[1] ?? path}.${Number(match?.[2] ?? 0) + 1}`;
}

/** Answers the whole lines since the last call, none at the end of the file. */
function lineReader(handle: FileHandle, from: number): () => Promise<Buffer[]> {
  let position = from;
  let rest: Buffer = Buffer.alloc(0);
  return async () => {
    for (;;) {
      const block = Buffer.alloc(64 << 10);
      const { bytesRead } = await handle.read(block, 0, block.length, position);
      if (bytesRead === 0) return [];
      position += bytesRead;
      let data = Buffer.concat([rest, block.subarray(0, bytesRead)]);
      const lines: Buffer[] = [];
      for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10)) {
        lines.push(data.subarray(0, end));
        data = data.subarray(end + 1);
      }
      rest = data;
      if (lines.length > 0) return lines;
    }
  };
}

function formatter({ timestamps = false, since }: ReadLogOptions): (lines: readonly Buffer[]) => Buffer {
  const inside = new Set<string>();
  let reached = since === undefined;
  return (lines) => {
    const out: Buffer[] = [];
    for (const raw of lines) {
      const line = parseLogLine(raw);
      if (!line) continue;
      reached ||= Date.parse(line.time) >= (since ?? 0);
      if (!reached) continue;
      // The pieces of a long line have one time, that of the first.
      if (timestamps && !inside.has(line.stream)) out.push(Buffer.from(`${line.time} `));
      out.push(line.content);
      if (line.partial) inside.add(line.stream);
      else {
        inside.delete(line.stream);
        out.push(lineFeed);
      }
    }
    return Buffer.concat(out);
  };
}

const lineFeed = Buffer.from("\n");
