export interface Issue {
  /** Offset in the source, in UTF-16 units. */
  readonly at: number;
  readonly message: string;
}

/** Parsing stopped. */
export class SyntaxFault extends Error {
  override name = "SyntaxFault";
  readonly code = "SyntaxFault";
  readonly at: number;

  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

/** Faults with the line they are in and a mark below, as CEL shows them. */
export function showIssues(source: string, issues: readonly Issue[]): string {
  return issues
    .map(({ at, message }) => {
      const before = source.slice(0, at).split("\n");
      const column = Array.from(before.at(-1) ?? "").length;
      const line = source.split("\n")[before.length - 1] ?? "";
      return `ERROR: <input>:${before.length}:${column + 1}: ${message}\n | ${line.replaceAll("\t", " ")}\n | ${".".repeat(column)}^`;
    })
    .join("\n");
}
