const forbidden = /[^\t\r\n\x20-\x7e\x80-\xff]|\r(?!\n)|(?<!\r)\n/;
const token = /^[\w!#$%&'*+.^`|~-]+$/;

/** Text (one character a byte) has no control character, and no line end but CR LF. */
export const hasCleanLines = (text: string): boolean => !forbidden.test(text);

/**
 * Field lines from `at` to the end, as name, value, name, value, without the blanks around values (RFC 9112 section 5). `undefined` when a
 * line is malformed, begins with a blank, or has one before its colon.
 */
export function readFields(text: string, at = 0): string[] | undefined {
  const fields: string[] = [];
  for (let next = at; at < text.length; at = next + 2) {
    next = text.indexOf("\r\n", at);
    if (next < 0) next = text.length;
    const colon = text.indexOf(":", at);
    if (colon < 0 || colon > next) return undefined;
    const name = text.slice(at, colon);
    if (!token.test(name)) return undefined;
    let from = colon + 1;
    let to = next;
    while (from < to && isBlank(text.charCodeAt(from))) from++;
    while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
    fields.push(name, text.slice(from, to));
  }
  return fields;
}

// Not what String.trim takes away: a byte of 0xA0 belongs to the value.
const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;
