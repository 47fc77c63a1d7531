/** A request path that cannot be given one meaning, and why. */
export interface PathRefusal {
  readonly refused: string;
}

// Nothing to decode, no dot segment, nothing but visible ASCII: already canonical. Most requests are.
const plain = /^(?:\/(?:[\w~!$&'()*+,\-:=@[\]^|][\w~!$&'()*+,\-.:=@[\]^|]*)?)+$/;
const unreserved = /[A-Za-z0-9\-._~]/;
const dotSegment = /^\.\.?(?:;.*)?$/;

/**
 * The one form of a path (no query) that is both matched and forwarded, so that the proxy and the backend cannot
 * disagree about it. RFC 3986 section 6.2.2: escapes of unreserved characters are decoded, other escapes get upper-case
 * digits, dot segments are resolved. Empty segments (`//`) stay, and so does an encoded slash (`%2F`): it is data
 * inside a segment and never separates segments.
 *
 * Refused: what does not begin with `/`; malformed escapes; NUL, control characters, backslash, `#`; and dot segments
 * that only a second decoding would show (`..%2F`, `..%5C`, `..;`).
 */
export function canonicalPath(path: string): string | PathRefusal {
  if (plain.test(path)) return path;
  if (path[0] !== "/") return { refused: "the path does not begin with a slash" };
  let decoded = "";
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    if (code === 0x25) {
      const digits = path.slice(i + 1, i + 3);
      if (!/^[0-9A-Fa-f]{2}$/.test(digits)) return { refused: "the path has a malformed escape" };
      const byte = Number.parseInt(digits, 16);
      if (byte < 0x20 || byte === 0x7f) return { refused: "the path has an encoded control character" };
      const character = String.fromCharCode(byte);
      decoded += unreserved.test(character) ? character : `%${digits.toUpperCase()}`;
      i += 2;
    } else if (code <= 0x20 || code === 0x7f || code === 0x5c || code === 0x23) {
      return { refused: "the path has a character that must be escaped" };
    } else if (code < 0x80) {
      decoded += path[i];
    } else {
      // The HTTP parser hands over one character per byte.
      if (code > 0xff) return { refused: "the path has a character that must be escaped" };
      decoded += `%${code.toString(16).toUpperCase()}`;
    }
  }
  return withoutDotSegments(decoded);
}

/** The same for a path in an object, where a character is a character and not a byte of a request line. */
export function canonicalPathOfObject(path: string): string | PathRefusal {
  return canonicalPath(Buffer.from(path, "utf8").toString("latin1"));
}

function withoutDotSegments(path: string): string | PathRefusal {
  const kept: string[] = [];
  const segments = path.split("/").slice(1);
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment === "..") kept.pop();
    if (segment === "." || segment === "..") {
      if (last) kept.push("");
      continue;
    }
    const hidden = segment.includes("%") || segment.includes(";") ? segment.split(/%2F|%5C/) : [];
    if (hidden.some((part) => dotSegment.test(part))) return { refused: "the path has a hidden dot segment" };
    kept.push(segment);
  }
  return `/${kept.join("/")}`;
}
