import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** A log is its present file and, beside it, `.1` (the newest that was moved aside), `.2`, and so on. */
export interface LogFile {
  readonly path: string;
  /** Stays the same when the file is moved aside. */
  readonly inode: number;
}

/** The files of the log at `path`, oldest first. */
export function logFiles(path: string): LogFile[] {
  const name = basename(path);
  const numbers = readdir(dirname(path)).flatMap((entry) => {
    if (entry === name) return [0];
    const number = entry.startsWith(`${name}.`) ? Number(entry.slice(name.length + 1)) : NaN;
    return Number.isInteger(number) && number > 0 ? [number] : [];
  });
  return numbers
    .sort((a, b) => b - a)
    .flatMap((number) => {
      const file = number === 0 ? path : `${path}.${number}`;
      const inode = statSync(join(file), { throwIfNoEntry: false })?.ino;
      return inode === undefined ? [] : [{ path: file, inode }];
    });
}

/** Where the last `count` lines of a log begin. */
export function tailStart(files: readonly LogFile[], count: number): { file: number; offset: number } {
  let left = count;
  const block = Buffer.alloc(64 << 10);
  for (let file = files.length - 1; file >= 0; file--) {
    const fd = openSync(files[file]?.path ?? "", "r");
    try {
      const { size } = fstatSync(fd);
      if (left === 0) return { file, offset: size };
      // A line feed at the very end closes the last line; it begins none.
      for (let end = size - 1; end > 0;) {
        const begin = Math.max(0, end - block.length);
        const length = readSync(fd, block, 0, end - begin, begin);
        for (let at = length - 1; at >= 0; at--) {
          if (block[at] === 10 && --left === 0) return { file, offset: begin + at + 1 };
        }
        end = begin;
      }
      // The file's first line has no line feed before it.
      if (size > 0 && --left === 0) return { file, offset: 0 };
    } finally {
      closeSync(fd);
    }
  }
  return { file: 0, offset: 0 };
}

function readdir(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
