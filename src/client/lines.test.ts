import { expect, test } from "vitest";
import { splitLines } from "./lines.ts";

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const collect = async (text: string, size: number, limit = 1000): Promise<string[]> => {
  const lines: string[] = [];
  const tooLong = () => new RangeError("too long");
  for await (const line of splitLines(pieces(Buffer.from(text), size), limit, tooLong)) lines.push(line);
  return lines;
};

test.each([1, 2, 3, 7, 100])("lines and characters survive pieces of %i bytes", async (size) => {
  expect(await collect('{"a":"ä€😀"}\n\nzwei\ndrei', size)).toEqual(['{"a":"ä€😀"}', "zwei", "drei"]);
});

test("a line without end is refused", async () => {
  await expect(collect("x".repeat(50), 10, 40)).rejects.toThrow("too long");
  expect(await collect(`${"x".repeat(40)}\n`, 10, 40)).toHaveLength(1);
});
