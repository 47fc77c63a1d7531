/** Warnings that one answer carries at most, and the characters of each. */
const most = 50;
const longest = 1000;

/**
 * The `Warning` header (RFC 7234 section 5.5, code 299): printable ASCII only, quotes and backslashes escaped, so that text from an
 * object can not break out of it.
 */
export function warningHeader(texts: readonly string[]): Record<string, string> {
  if (texts.length === 0) return {};
  const [only = ""] = texts;
  if (texts.length === 1) {
    if (only !== last.text) last = { text: only, value: warningOf(only) };
    return { warning: last.value };
  }
  const values = [...new Set(texts)].slice(0, most).map(warningOf);
  return { warning: values.join(", ") };
}

/** What was made last: mostly it is wanted again, since deprecated kinds warn at each write. */
let last = { text: "", value: "" };

function warningOf(text: string): string {
  const safe = text
    .slice(0, longest)
    .replace(/\s+/g, " ")
    .replace(/[^\x20-\x7e]/g, "?")
    .replace(/["\\]/g, (character) => `\\${character}`);
  return `299 - "${safe}"`;
}
