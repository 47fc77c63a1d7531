import { CliError, type ExitName } from "./errors.ts";

/** Tells the user what goes on: on the terminal, or from a process in the background to the one that started it. */
export interface Narrator {
  /** A step that is done, or what is off and why. */
  line(text: string): void;
  /** The cluster is ready: what is left to say. */
  done(text: string): void;
  /** It will not be. */
  failed(error: unknown): void;
}

/** What a background process sends to the one that started it. */
export type Message =
  | { readonly type: "line"; readonly text: string }
  | { readonly type: "done"; readonly text: string }
  | { readonly type: "failed"; readonly code: ExitName; readonly message: string; readonly remedy?: string };

/** Progress on standard error, the result on standard output. */
export const terminal: Narrator = {
  line: (text) => void process.stderr.write(`${text}\n`),
  done: (text) => void process.stdout.write(`${text}\n`),
  // Whoever catches the error prints it.
  failed: () => {},
};

/** Sends to the parent as long as it listens. */
export function parentNarrator(): Narrator {
  const send = (message: Message) => {
    if (process.connected) process.send?.(message);
  };
  return {
    line: (text) => send({ type: "line", text }),
    done: (text) => send({ type: "done", text }),
    failed(error) {
      const message = error instanceof Error ? error.message : String(error);
      const { code = "FAILED", remedy } = error instanceof CliError ? error : {};
      send({ type: "failed", code, message, ...(remedy === undefined ? {} : { remedy }) });
    },
  };
}
