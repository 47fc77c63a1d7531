/**
 * Lines of a byte stream without their line feed, as UTF-8 text. A character cut in two by the transport comes out whole.
 * `tooLong` makes the error for a line of more than `limit` bytes. What follows the last line feed is a line when not empty.
 */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
  limit: number,
  tooLong: () => Error,
): AsyncGenerator<string> {
  let pending: Uint8Array[] = [];
  let size = 0;
  const add = (part: Uint8Array) => {
    size += part.length;
    if (size > limit) throw tooLong();
    pending.push(part);
  };
  const take = (): string => {
    const text = (pending.length === 1 ? Buffer.from(pending[0] ?? []) : Buffer.concat(pending)).toString("utf8");
    pending = [];
    size = 0;
    return text;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      add(chunk.subarray(from, at));
      from = at + 1;
      const line = take();
      if (line) yield line;
    }
    if (from < chunk.length) add(chunk.subarray(from));
  }
  if (size > 0) yield take();
}
