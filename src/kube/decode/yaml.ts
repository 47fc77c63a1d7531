import type { Tags } from "yaml";
import { statusError } from "../status.ts";
import { measure, type ParsedJson } from "./json.ts";

/** Aliases may multiply a document by this much at most: a small text cannot become a huge object. */
const maxAliases = 100;

/** How the `yaml` package reads YAML as Kubernetes' clients and servers do: `0644` is octal, `yes` is true, a date is a text. */
export const yamlOptions = {
  schema: "yaml-1.1",
  merge: true,
  uniqueKeys: true,
  customTags: (tags: Tags) => tags.filter((tag) => typeof tag === "string" || !isForeign(tag)),
} as const;

/**
 * Reads a request body in YAML. The library is loaded when the first such body comes.
 * Throws 400 BadRequest for a text that is not YAML, not UTF-8, or more than one document.
 */
export async function parseYaml(body: Uint8Array): Promise<ParsedJson> {
  const { parseDocument } = await import("yaml");
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(body);
    const document = parseDocument(text, { ...yamlOptions, prettyErrors: false });
    const fatal = document.errors.find((error) => error.code !== "DUPLICATE_KEY");
    if (fatal) throw fatal;
    const twice = document.errors.map((error) => repeatedKey(text, error.pos[0]));
    const value: unknown = document.toJS({ maxAliasCount: maxAliases });
    measure(value);
    // In the words of Go's reader, which says all of them as one fault.
    return { value, duplicates: twice.length > 0 ? [`yaml: unmarshal errors:\n  ${twice.join("\n  ")}`] : [] };
  } catch (error) {
    throw statusError("BadRequest", `error converting YAML to JSON: yaml: ${(error as Error).message}`);
  }
}

/** Types of YAML 1.1 that JSON does not have: what looks like one is a text, as in Go's reader. */
function isForeign({ tag, format }: { readonly tag: string; readonly format?: string }): boolean {
  return format === "TIME" || /:(timestamp|binary|omap|pairs|set)$/.test(tag);
}

/** What is said of the key at an offset of the text: it, and the line where its value begins. */
function repeatedKey(text: string, offset: number): string {
  const [before = "", key = ""] = /^\s*["']?([^"':\s]+)["']?\s*:\s*/.exec(text.slice(offset)) ?? [];
  const line = text.slice(0, offset + before.length).split("\n").length;
  return `line ${line}: key ${JSON.stringify(key)} already set in map`;
}
