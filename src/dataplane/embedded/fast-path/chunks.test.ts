import { expect, test } from "vitest";
import { createChunkReader } from "./chunks.ts";

/** Reads `text` in pieces of `step` bytes: the body, where it ended (-1: malformed), and the trailers. */
function read(text: string, step: number): { body: string; end: number | undefined; trailers: string } {
  const reader = createChunkReader(64);
  const bytes = Buffer.from(text, "latin1");
  let body = "";
  for (let at = 0; at < bytes.length; at += step) {
    const stop = Math.min(at + step, bytes.length);
    const end = reader.read(bytes, at, stop, (from, start, to) => (body += from.toString("latin1", start, to)));
    if (end !== undefined) return { body, end, trailers: reader.trailers() };
  }
  return { body, end: undefined, trailers: reader.trailers() };
}

const whole = "3\r\nabc\r\n0A;name=value\r\n0123456789\r\n0\r\nx: y\r\nz: 1\r\n\r\n";

test.each([1, 2, 3, 5, 7, 100])("a body cut into reads of %i bytes", (step) => {
  expect(read(whole, step)).toEqual({ body: "abc0123456789", end: whole.length, trailers: "x: y\r\nz: 1" });
});

test("what follows a body is not its own", () => {
  expect(read("1\r\na\r\n0\r\n\r\nHTTP/1.1", 100)).toMatchObject({ body: "a", end: 11 });
});

test.each([
  ["a size that is none", "x\r\n"],
  ["a size with a sign", "+1\r\na\r\n"],
  ["an empty size", "\r\n"],
  ["a size beyond all measure", "1000000000000000\r\n"],
  ["a line that ends with a line feed alone", "1\na\r\n"],
  ["a chunk longer than its size", "1\r\nab\r\n"],
  ["an extension without an end", `1;${"a".repeat(2_000)}`],
  ["an extension with a control character", "1;a\u0001\r\n"],
  ["trailers beyond their bound", `0\r\na: ${"b".repeat(100)}\r\n`],
  ["many trailers", `0\r\n${"a: b\r\n".repeat(20)}`],
])("%s", (_what, text) => {
  expect(read(text, 1).end).toBe(-1);
  expect(read(text, 10_000).end).toBe(-1);
});
