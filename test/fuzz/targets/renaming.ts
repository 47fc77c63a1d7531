import { broken } from "../target.ts";

/** A key that seeds use where any key may stand. */
export const anyKey = "zKey";
/** Keys that JavaScript knows of every object. They must be keys like any other. */
const known = ["__proto__", "constructor", "toString", "hasOwnProperty"];

/** A value as text that does not depend on the order of keys; those of prototypes are not among them. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "undefined";
  const entries = Object.entries(value).map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`);
  return `{${entries.sort().join()}}`;
}

/**
 * Does the same with a document and with the document in which `anyKey` has another name: what comes of it must be the same but for
 * that name. `compute` gives a value, or undefined for a refusal.
 */
export function sameUnderRenaming(text: string, compute: (document: unknown) => unknown): void {
  if (!text.includes(anyKey) || known.some((name) => text.includes(name)) || !isJson(text)) return;
  const before = compute(JSON.parse(text));
  for (const name of known) {
    const after = compute(JSON.parse(renamed(text, name)));
    const [wanted, got] = [canonicalAs(before, name), canonicalAs(after, name)];
    if (wanted !== got) broken(`with ${name} for a key: ${got.slice(0, 300)} instead of ${wanted.slice(0, 300)}`);
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Keys, and parts of paths that name them; a value that is the same text means something else. */
const renamed = (text: string, name: string): string =>
  text.replaceAll(`"${anyKey}":`, `"${name}":`).replaceAll(`/${anyKey}`, `/${name}`);

function canonicalAs(value: unknown, name: string): string {
  if (value === undefined) return "refused";
  return canonical(JSON.parse(renamed(JSON.stringify(value) ?? "null", name)));
}
