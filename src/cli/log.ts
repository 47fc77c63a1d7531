import { copyFile, truncate } from "node:fs/promises";
import { copyFileSync, fstatSync, ftruncateSync, openSync, statSync, writeSync } from "node:fs";
import { createLogger, type Logger } from "../system/index.ts";

/** Bytes at which the log file is set aside (as `PATH.1`) and begun anew. */
const limit = 20 << 20;

/**
 * The log of a cluster: JSON lines in the file, and of warnings and errors one human line each through `tell`. The file is set aside when it
 * has grown too long; a line that finds no room on the disk is lost, and nothing else is.
 * Throws the system's error when the file cannot be opened.
 */
export function openLog(path: string, tell: (line: string) => void, verbosity = 0): Logger {
  const file = createLogger({ to: boundedFile(path), level: verbosity >= details ? "debug" : "info" });
  const both = (target: Logger, component: string): Logger => ({
    debug: (fields, message) => target.debug(written(fields), message),
    info: (fields, message) => target.info(written(fields), message),
    warn(fields, message) {
      target.warn(written(fields), message);
      tell(`${component}: ${message}${reason(fields)}`);
    },
    error(fields, message) {
      target.error(written(fields), message);
      tell(`${component}: ${message}${reason(fields)}`);
    },
    child: (fields) =>
      both(target.child(fields), typeof fields["component"] === "string" ? fields["component"] : component),
  });
  return both(file, "fairlead");
}

/** Verbosity from which what helps to find a fault is written too. */
const details = 4;

function boundedFile(path: string): { write(line: string): void } {
  const fd = openSync(path, "a", 0o600);
  let { size } = fstatSync(fd);
  return {
    write(line) {
      try {
        size += writeSync(fd, line);
        if (size < limit) return;
        // Other processes may have the same file open: it stays in its place.
        copyFileSync(path, `${path}.1`);
        ftruncateSync(fd);
        size = 0;
      } catch {
        // There is nowhere left to say so.
      }
    },
  };
}

/** The fields as they are written: of an error, what JSON would leave out. */
function written(fields: Record<string, unknown>): Record<string, unknown> {
  const { error } = fields;
  return error instanceof Error ? { ...fields, error: error.stack ?? error.message } : fields;
}

/** The error that a log line carries, in short. */
function reason(fields: Record<string, unknown>): string {
  const { error } = fields;
  if (error === undefined) return "";
  const text = error instanceof Error ? error.message : typeof error === "string" ? error : JSON.stringify(error);
  return `: ${text.split("\n")[0]}`;
}

/** Sets the log aside when it has grown too long. Lines that are written meanwhile may be lost, never torn. */
export async function rotateLog(path: string): Promise<void> {
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) < limit) return;
  await copyFile(path, `${path}.1`);
  await truncate(path);
}
