const name = /^[\w!#$%&'*+.^`|~-]+$/;
const value = /^[\t\x20-\x7e\x80-\xff]*$/;
const target = /^\/[!"$-~\x80-\xff]*$/;

/**
 * The only writer of header sections to sockets here. `undefined` when a name or value has a character that could end its line: then
 * nothing is written at all.
 */
function lines(fields: readonly string[]): string | undefined {
  let text = "";
  for (let i = 0; i < fields.length; i += 2) {
    const key = fields[i] as string;
    const content = fields[i + 1] as string;
    if (!name.test(key) || !value.test(content)) return undefined;
    text += `${key}: ${content}\r\n`;
  }
  return text;
}

/** The header section of a request, one character a byte. */
export function writeRequestHead(method: string, path: string, fields: readonly string[]): string | undefined {
  const text = name.test(method) && target.test(path) ? lines(fields) : undefined;
  return text === undefined ? undefined : `${method} ${path} HTTP/1.1\r\n${text}\r\n`;
}

/** The header section of an answer. `chunked`: its body comes in chunks. */
export function writeResponseHead(
  status: number,
  reason: string,
  fields: readonly string[],
  chunked: boolean,
): string | undefined {
  const text = value.test(reason) ? lines(fields) : undefined;
  const framing = chunked ? "transfer-encoding: chunked\r\n" : "";
  return text === undefined ? undefined : `HTTP/1.1 ${status} ${reason}\r\n${text}${framing}\r\n`;
}

/** What ends a body that came in chunks. Trailers that cannot be written are left out. */
export function writeLastChunk(trailers: readonly string[]): string {
  return `0\r\n${lines(trailers) ?? ""}\r\n`;
}
