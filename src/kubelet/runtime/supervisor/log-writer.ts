import { closeSync, fstatSync, openSync, renameSync, rmSync, writeSync } from "node:fs";

/** When a log is moved aside, as the kubelet's containerLogMaxSize and containerLogMaxFiles. */
export interface LogLimits {
  readonly maxBytes: number;
  /** Files in all, with the one that is written. */
  readonly maxFiles: number;
}

export const defaultLogLimits: LogLimits = { maxBytes: 10 << 20, maxFiles: 5 };

/** A longer line is cut into pieces tagged P, as containerd does. */
const maxPiece = 16 << 10;

export type LogStream = "stdout" | "stderr";

export interface LogWriter {
  write(stream: LogStream, chunk: Buffer): void;
  /** Writes what had no line feed yet and closes the file. */
  end(): void;
}

/**
 * Writes a container's output in the CRI log format: `2026-01-01T00:00:00.000000000Z stdout F line`.
 * A full disk loses output, never the container: the next chunk is tried again.
 */
export function createLogWriter(path: string, now: () => number, limits: LogLimits = defaultLogLimits): LogWriter {
  let fd: number | undefined;
  let size = 0;
  const rest: Record<LogStream, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };

  const rotate = (): void => {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
    rmSync(`${path}.${limits.maxFiles - 1}`, { force: true });
    for (let i = limits.maxFiles - 2; i >= 0; i--) {
      try {
        renameSync(i === 0 ? path : `${path}.${i}`, `${path}.${i + 1}`);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
    }
  };

  const put = (pieces: Buffer[]): void => {
    if (pieces.length === 0) return;
    const bytes = Buffer.concat(pieces);
    try {
      if (size > 0 && size + bytes.length > limits.maxBytes) rotate();
      if (fd === undefined) {
        fd = openSync(path, "a", 0o640);
        size = fstatSync(fd).size;
      }
      for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
      size += bytes.length;
    } catch {
      // Nobody could be told: the place to say it is full.
    }
  };

  const piece = (stream: LogStream, tag: "F" | "P", text: Buffer): Buffer[] => [
    Buffer.from(`${new Date(now()).toISOString().slice(0, -1)}000000Z ${stream} ${tag} `),
    text,
    lineFeed,
  ];

  return {
    write(stream, chunk) {
      let data = rest[stream].length > 0 ? Buffer.concat([rest[stream], chunk]) : chunk;
      const pieces: Buffer[] = [];
      for (;;) {
        const end = data.indexOf(10);
        if (end >= 0 && end <= maxPiece) {
          pieces.push(...piece(stream, "F", data.subarray(0, end)));
          data = data.subarray(end + 1);
        } else if (data.length >= maxPiece) {
          pieces.push(...piece(stream, "P", data.subarray(0, maxPiece)));
          data = data.subarray(maxPiece);
        } else break;
      }
      // A copy: a rest of a few bytes must not keep the whole chunk alive.
      rest[stream] = Buffer.from(data);
      put(pieces);
    },
    end() {
      for (const stream of ["stdout", "stderr"] as const) {
        // A last line without its end stays one, as with containerd.
        if (rest[stream].length > 0) put(piece(stream, "P", rest[stream]));
        rest[stream] = Buffer.alloc(0);
      }
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}

const lineFeed = Buffer.from("\n");
