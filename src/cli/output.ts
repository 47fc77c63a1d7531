import { CliError } from "./errors.ts";

export type OutputFormat = "table" | "json" | "yaml";

/** Checks the value of `-o`. Throws CliError USAGE. */
export function parseOutput(value: string): OutputFormat {
  if (value === "json" || value === "yaml" || value === "table") return value;
  throw new CliError("USAGE", `-o ${JSON.stringify(value)} is not an output format`, "use table, json or yaml");
}

export type TextFormat = "text" | "json" | "yaml";

/** Checks the value of `-o` of a command that tells a story. Throws CliError USAGE. */
export function parseTextFormat(value: string): TextFormat {
  if (value === "json" || value === "yaml" || value === "text") return value;
  throw new CliError("USAGE", `-o ${JSON.stringify(value)} is not an output format`, "use text, json or yaml");
}

/** JSON or YAML of `value`, with a line feed at the end. */
export async function render(value: unknown, format: "json" | "yaml"): Promise<string> {
  if (format === "json") return `${JSON.stringify(value, null, 2)}\n`;
  const { stringify } = await import("yaml");
  return stringify(value, { lineWidth: 0 });
}

/** Columns of equal width, two blanks apart, header first; nothing is padded after the last column. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    header
      .map((_, i) => (cells[i] ?? "").padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd();
  return [header, ...rows].map((cells) => `${line(cells)}\n`).join("");
}
