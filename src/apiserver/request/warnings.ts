/** Warnings that one answer carries at most, and the characters of each. */
const most = 50;
const longest = 1000;

/**
 * The `Warning` header (RFC 7234 section 5.5, code 299): printable ASCII only, quotes and backslashes escaped, so that text from an
 * object can not break out of it.
 */
export function warningHeader(texts: readonly string[]): Record<string, string> {
  if (texts.length === 0) return {};
  const values = [...new Set(texts)].slice(0, most).map((text) => {
    const safe = text
      .slice(0, longest)
      .replace(/[^\x20-\x7e]/g, "?")
      .replace(/["\\]/g, (character) => `\\${character}`);
    return `299 - "${safe}"`;
  });
  return { warning: values.join(", ") };
}
