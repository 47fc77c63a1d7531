/** What an input is made of, and so how it is changed: bytes, text (UTF-8), or one JSON document. */
export type Form = "bytes" | "text" | "json";

/** One decoder, or several that read the same. */
export interface Target {
  /** Also the name of its folder under `corpus/`. */
  readonly name: string;
  readonly form: Form;
  /** Inputs to begin with: mostly right ones, each with something of its own. */
  readonly seeds: () => readonly (string | Uint8Array)[] | Promise<readonly (string | Uint8Array)[]>;
  /** Words of the language, put in by changes. */
  readonly words?: readonly string[];
  /**
   * Reads one input. Throws for what must not be: an error that is not of the decoder's own kind, or an answer that is wrong. Gives a
   * short text for what came of it, such as the refusal: an input with an outcome of a new kind is kept and changed further.
   */
  readonly run: (input: Buffer) => string | Promise<string>;
}

/** Something that must hold for each input does not. */
export function broken(what: string): never {
  throw new Error(`broken: ${what}`);
}

type ErrorType = abstract new (...args: never[]) => Error;

/** The outcome of something that may throw errors of certain types and no others. */
export function outcome(types: readonly ErrorType[], action: () => unknown): string {
  try {
    return `ok ${shape(action())}`;
  } catch (error) {
    return refusal(types, error);
  }
}

export async function outcomeOf(types: readonly ErrorType[], action: () => Promise<unknown>): Promise<string> {
  try {
    return `ok ${shape(await action())}`;
  } catch (error) {
    return refusal(types, error);
  }
}

function refusal(types: readonly ErrorType[], error: unknown): string {
  if (!types.some((type) => error instanceof type)) throw error;
  const { message } = error as Error;
  if (message.length > 8 << 20) broken(`a message of ${message.length} characters`);
  return `refused ${skeleton(message)}`;
}

/** A message without what it quotes and counts: what is left tells one kind of fault from another. */
export function skeleton(message: string): string {
  return message
    .slice(0, 600)
    .replace(/"(?:[^"\\]|\\.)*"?|'[^']*'?|\([^)]*\)?|\[[^\]]*\]?|\{.*/gs, "_")
    .replace(/\d+/g, "0")
    .slice(0, 160);
}

function shape(value: unknown): string {
  if (Array.isArray(value)) return `list ${Math.min(value.length, 3)}`;
  return typeof value === "object" && value !== null ? "object" : typeof value;
}
