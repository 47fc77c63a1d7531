import { pino } from "pino";

/** Structured log. Never hand it a Secret's data. */
export interface Logger {
  debug(fields: Record<string, unknown>, message: string): void;
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
  /** A logger that adds `fields` to each line. */
  child(fields: Record<string, unknown>): Logger;
}

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** JSON lines to a file descriptor (default standard error), or to whoever takes them. */
export function createLogger(
  options: { level?: LogLevel; fd?: number; to?: { write(line: string): void } } = {},
): Logger {
  return pino(
    { level: options.level ?? "info", base: null, timestamp: pino.stdTimeFunctions.isoTime },
    options.to ?? pino.destination({ fd: options.fd ?? 2, sync: true }),
  );
}

/** Says nothing: for tests. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silentLogger };
