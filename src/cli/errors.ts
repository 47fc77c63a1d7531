/** Exit codes of every `fairlead` command. They are part of the interface: scripts rely on them. */
export const exitCodes = {
  /** Something failed that has no code of its own. */
  FAILED: 1,
  /** The command line or the configuration file is wrong. */
  USAGE: 2,
  PORT_IN_USE: 10,
  NOT_PERMITTED: 11,
  /** The data directory holds something that Fairlead cannot read. Nothing was changed. */
  CORRUPT: 12,
  ALREADY_RUNNING: 13,
  NOT_RUNNING: 14,
  /** The API did not answer. */
  UNREACHABLE: 15,
  /** A file that was named is missing or cannot be used. */
  BAD_FILE: 16,
  /** The API refused an object. */
  REFUSED: 17,
} as const;

export type ExitName = keyof typeof exitCodes;

/** An error for the user: one line that says what is wrong, and what to do about it. */
export class CliError extends Error {
  readonly code: ExitName;
  readonly remedy: string | undefined;

  constructor(code: ExitName, message: string, remedy?: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "CliError";
    this.code = code;
    this.remedy = remedy;
  }
}

/** The line that is printed for any error: `error: WHAT: REMEDY`. Line feeds become blanks: it stays one line. */
export function errorLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const remedy = error instanceof CliError && error.remedy ? `: ${error.remedy}` : "";
  return `error: ${message}${remedy}`.replaceAll(/\s*\n\s*/g, " ");
}

/** The exit code for any error. */
export function exitCodeOf(error: unknown): number {
  return error instanceof CliError ? exitCodes[error.code] : exitCodes.FAILED;
}

/** `code` of a system error (`EADDRINUSE`), looked for down the chain of causes. */
export function systemCodeOf(error: unknown): string | undefined {
  for (let e: unknown = error; e instanceof Error; e = e.cause) {
    const code = (e as NodeJS.ErrnoException).code;
    if (typeof code === "string") return code;
  }
  return undefined;
}
