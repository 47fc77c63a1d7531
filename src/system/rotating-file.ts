import { open, readdir, rename, unlink, type FileHandle } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";

export interface RotatingFileOptions {
  readonly path: string;
  /** Bytes at which the file is set aside; 0: never. */
  readonly maxBytes: number;
  /** Files that were set aside and are kept; 0: all. */
  readonly maxBackups: number;
  /** Days that they are kept; 0: for ever. */
  readonly maxAge: number;
  /** Characters that wait to be written at most. Default 16 Mi. */
  readonly maxWaiting?: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Told when writing fails, and of it working again (undefined); not of each line. */
  readonly onFailure: (error: unknown) => void;
}

/** A file that lines are added to, written in the background and in order. */
export interface RotatingFile {
  /** When too much waits already the line is lost. */
  write(line: string): void;
  /** Lines that were lost. */
  lost(): number;
  /** Writes what waits and closes the file. */
  close(): Promise<void>;
}

const day = 86_400_000;

/**
 * Opens a file for lines; it is made when it is not there, for its owner alone. Files set aside are named as lumberjack does:
 * `audit-2026-01-31T10-20-30.000.log`. When the disk is full the lines at hand are lost, and the next are tried again.
 * Throws the system's error when it can not be opened.
 */
export async function openRotatingFile(options: RotatingFileOptions): Promise<RotatingFile> {
  const { path, maxBytes, maxBackups, maxAge, maxWaiting = 16 << 20, now, onFailure } = options;
  let file: FileHandle | undefined = await open(path, "a", 0o600);
  let size = (await file.stat()).size;
  let waiting: string[] = [];
  let waits = 0;
  let failing = false;
  let working: Promise<void> | undefined;
  let closed = false;
  let lost = 0;

  const rotate = async (): Promise<void> => {
    await file?.close();
    file = undefined;
    const extension = extname(path);
    const stem = basename(path, extension);
    const time = new Date(now()).toISOString().replaceAll(":", "-").replace("Z", "");
    await rename(path, join(dirname(path), `${stem}-${time}${extension}`));
    const form = new RegExp(
      `^${escape(stem)}-(\\d{4}-\\d\\d-\\d\\dT\\d\\d-\\d\\d-\\d\\d\\.\\d{3})${escape(extension)}$`,
    );
    const found = (await readdir(dirname(path))).filter((name) => form.test(name)).sort();
    const kept = maxBackups > 0 ? found.slice(-maxBackups) : found;
    const tooOld = (name: string): boolean => {
      const [date = "", clock = ""] = (form.exec(name)?.[1] ?? "").split("T");
      return maxAge > 0 && now() - Date.parse(`${date}T${clock.replaceAll("-", ":")}Z`) > maxAge * day;
    };
    const gone = found.filter((name) => !kept.includes(name) || tooOld(name));
    await Promise.all(gone.map((name) => unlink(join(dirname(path), name))));
  };

  const flush = async (): Promise<void> => {
    while (waiting.length > 0) {
      const count = waiting.length;
      const lines = Buffer.from(waiting.join(""));
      waiting = [];
      try {
        if (maxBytes > 0 && size > 0 && size + lines.length > maxBytes) {
          await rotate();
          size = 0;
        }
        file ??= await open(path, "a", 0o600);
        await file.appendFile(lines);
        size += lines.length;
        if (failing) onFailure(undefined);
        failing = false;
      } catch (error) {
        lost += count;
        if (!failing) onFailure(error);
        failing = true;
      }
      waits = waiting.reduce((sum, line) => sum + line.length, 0);
    }
    working = undefined;
  };
  return {
    write(line) {
      if (closed || waits + line.length > maxWaiting) {
        lost++;
        return;
      }
      waiting.push(line);
      waits += line.length;
      // Lines of one turn of the event loop go together.
      working ??= Promise.resolve().then(flush);
    },
    lost: () => lost,
    async close() {
      closed = true;
      await working;
      await file?.close();
      file = undefined;
    },
  };
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
