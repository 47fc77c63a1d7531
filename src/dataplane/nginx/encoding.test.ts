import { describe, expect, test } from "vitest";
import { encodeRow, type RowValue } from "./encoding.ts";

/** What the Lua program does. */
function decode(bytes: Buffer, at = 0): [RowValue, number] {
  const colon = bytes.indexOf(":", at);
  const length = Number(bytes.toString("latin1", at, colon));
  const [from, to] = [colon + 1, colon + 1 + length];
  const kind = String.fromCharCode(bytes[to] ?? 0);
  const text = bytes.toString("utf8", from, to);
  if (kind === ",") return [text, to + 1];
  if (kind === "^") return [Number(text), to + 1];
  if (kind === "!") return [text === "true", to + 1];
  const parts: RowValue[] = [];
  for (let next = from; next < to;) {
    const [part, after] = decode(bytes, next);
    parts.push(part);
    next = after;
  }
  if (kind === "]") return [parts, to + 1];
  expect(kind).toBe("}");
  const pairs: [string, RowValue][] = [];
  for (let i = 0; i < parts.length; i += 2) {
    const name = parts[i];
    if (typeof name !== "string") throw new TypeError("a name is no text");
    pairs.push([name, parts[i + 1] ?? ""]);
  }
  return [Object.fromEntries(pairs), to + 1];
}

/** Numbers from 0 to 1, the same in each run. */
function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const hostile = [
  "",
  "3:abc,",
  "]",
  "}",
  "0:]",
  '"',
  "]]",
  "\n",
  "\0",
  "é",
  "𝒳",
  "end; os.execute()",
  "${x}",
  "1:1^",
  "a\r\nb",
];

function anyValue(random: () => number, depth: number): RowValue {
  const pick = Math.floor(random() * (depth > 0 ? 5 : 3));
  const text = (): string =>
    Array.from({ length: Math.floor(random() * 4) }, () => hostile[Math.floor(random() * hostile.length)]).join("");
  if (pick === 0) return text();
  if (pick === 1) return Math.floor(random() * 2 ** 40) / (random() < 0.5 ? 1 : 8);
  if (pick === 2) return random() < 0.5;
  const size = Math.floor(random() * 5);
  if (pick === 3) return Array.from({ length: size }, () => anyValue(random, depth - 1));
  return Object.fromEntries(Array.from({ length: size }, (_, i) => [`${i}${text()}`, anyValue(random, depth - 1)]));
}

describe("encodeRow", () => {
  test("gives text, numbers, truth, lists and maps their length and kind", () => {
    expect(encodeRow("é").toString()).toBe("2:é,");
    expect(encodeRow([1, true]).toString()).toBe("11:1:1^4:true!]");
    expect(encodeRow({ a: "b", gone: undefined }).toString()).toBe("8:1:a,1:b,}");
  });

  test("no value gets out of its place: what was written is what is read", () => {
    const random = sequence(7);
    for (let i = 0; i < 2_000; i++) {
      const value = anyValue(random, 4);
      const bytes = encodeRow(value);
      expect(decode(bytes)).toEqual([value, bytes.length]);
    }
  });

  test("refuses what is no number", () => {
    expect(() => encodeRow(Number.NaN)).toThrow(TypeError);
  });
});
