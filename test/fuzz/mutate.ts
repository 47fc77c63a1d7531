import type { Random } from "./random.ts";
import type { Form } from "./target.ts";

/** Inputs stay below this many bytes: more is a matter of tests of their own. */
export const mostBytes = 64 << 10;

const numbers = [0, 1, -1, 255, 65_536, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 63), 1e21, 1e308, 0.1, -0];
/** Keys and texts that mean something to JavaScript, to Kubernetes or to a careless reader. */
const words = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "",
  "-",
  "~0",
  "~1",
  "..",
  "%00",
  "\0",
  "\ud800",
  "\u2028",
  "😀",
  "null",
  "true",
  "1e400",
  "-9223372036854775808",
  "metadata",
  "spec",
  "name",
  "$patch",
  "a".repeat(300),
];

/** Changes an input in one to eight places. `others`: inputs that pieces are taken from. */
export function mutate(
  input: Buffer,
  form: Form,
  random: Random,
  others: readonly Buffer[],
  own: readonly string[],
): Buffer {
  let result = input;
  const rounds = 1 + random.below(random.chance(0.2) ? 8 : 3);
  for (let i = 0; i < rounds; i++) {
    const other = random.pick(others);
    if (form === "json" && random.chance(0.8)) result = mutateJson(result, random, other, own);
    else if (form === "bytes" || random.chance(0.1)) result = mutateBytes(result, random, other, own);
    else result = mutateText(result, random, other, own);
  }
  return result.subarray(0, mostBytes);
}

function word(random: Random, own: readonly string[]): string {
  return own.length > 0 && random.chance(0.7) ? random.pick(own) : random.pick(words);
}

/** The part before `at`, something, and the part behind `end`. */
const spliced = (input: Buffer, at: number, end: number, piece: Uint8Array): Buffer =>
  Buffer.concat([input.subarray(0, at), piece, input.subarray(end)]);

function mutateBytes(input: Buffer, random: Random, other: Buffer, own: readonly string[]): Buffer {
  const at = random.below(input.length + 1);
  const end = Math.min(input.length, at + 1 + random.below(random.chance(0.5) ? 4 : 64));
  switch (random.below(8)) {
    case 0: {
      const copy = Buffer.from(input);
      if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
      return copy;
    }
    case 1:
      return spliced(input, at, end, Buffer.of(random.below(256)));
    case 2:
      return spliced(input, at, end, Buffer.alloc(0));
    case 3:
      return spliced(input, at, at, input.subarray(at, end));
    case 4:
      return input.subarray(0, at);
    case 5: {
      const from = random.below(other.length + 1);
      return spliced(input, at, at, other.subarray(from, from + 1 + random.below(64)));
    }
    case 6: {
      const number = Buffer.alloc(random.pick([1, 2, 4, 8]));
      number.fill(random.pick([0, 0xff, 0x7f, 0x80]));
      return spliced(input, at, Math.min(input.length, at + number.length), number);
    }
    default:
      return spliced(input, at, at, Buffer.from(word(random, own)));
  }
}

function mutateText(input: Buffer, random: Random, other: Buffer, own: readonly string[]): Buffer {
  const text = input.toString();
  const at = random.below(text.length + 1);
  const end = Math.min(text.length, at + 1 + random.below(8));
  const join = (piece: string, from = at, to = at): Buffer => Buffer.from(text.slice(0, from) + piece + text.slice(to));
  switch (random.below(8)) {
    case 0:
      return join(word(random, own));
    case 1:
      return join(word(random, own), at, end);
    case 2:
      return join("", at, end);
    case 3:
      return join(text.slice(at, end).repeat(1 + random.below(random.chance(0.1) ? 2000 : 4)));
    case 4: {
      const piece = other.toString();
      const from = random.below(piece.length + 1);
      return join(piece.slice(from, from + 1 + random.below(40)));
    }
    case 5:
      return join(String.fromCharCode(random.chance(0.8) ? random.below(128) : random.below(65_536)), at, at + 1);
    case 6:
      return join(String(random.pick(numbers)));
    default:
      return join(text.slice(at, end).toUpperCase(), at, end);
  }
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Changes one node of a document; what is no JSON is changed as a text. */
function mutateJson(input: Buffer, random: Random, other: Buffer, own: readonly string[]): Buffer {
  let root: Json;
  let donor: Json = null;
  try {
    root = JSON.parse(input.toString()) as Json;
    donor = JSON.parse(other.toString()) as Json;
  } catch {
    return mutateText(input, random, other, own);
  }
  const count = sizeOf(root);
  const changed = replaceAt(root, random.below(count), (node) => changeNode(node, random, donor, own));
  return Buffer.from(JSON.stringify(changed) ?? "null");
}

/** Nodes are looked at no deeper than this: what is deeper is changed as a whole. */
const deepest = 60;

function sizeOf(node: Json, depth = 0): number {
  if (typeof node !== "object" || node === null || depth > deepest) return 1;
  return Object.values(node).reduce<number>((sum, child) => sum + sizeOf(child, depth + 1), 1);
}

/** A copy of a document with the node of a number (depth first) changed. `Object.fromEntries` makes a mere key of `__proto__`. */
function replaceAt(root: Json, index: number, change: (node: Json) => Json): Json {
  let left = index;
  const walk = (node: Json, depth: number): Json => {
    if (left-- === 0) return change(node);
    if (left < 0 || typeof node !== "object" || node === null || depth > deepest) return node;
    if (Array.isArray(node)) return node.map((child) => walk(child, depth + 1));
    return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, walk(child, depth + 1)]));
  };
  return walk(root, 0);
}

function nodeAt(root: Json, index: number): Json {
  let found: Json = null;
  replaceAt(root, index, (node) => (found = node));
  return found;
}

function changeNode(node: Json, random: Random, donor: Json, own: readonly string[]): Json {
  if (random.chance(0.15)) return nodeAt(donor, random.below(sizeOf(donor)));
  if (random.chance(0.1)) return random.pick<Json>([null, true, false, "", [], {}, random.pick(numbers)]);
  if (random.chance(0.02)) {
    let deep = node;
    for (let depth = random.pick([10, 100, 1100, 3000]); depth > 0; depth--)
      deep = random.chance(0.5) ? [deep] : { a: deep };
    return deep;
  }
  if (typeof node === "string") {
    if (random.chance(0.4)) return word(random, own);
    return mutateText(Buffer.from(node), random, Buffer.from(word(random, own)), own).toString();
  }
  if (typeof node === "number") return random.chance(0.5) ? random.pick(numbers) : node + random.pick([-1, 1, 0.5]);
  if (typeof node !== "object" || node === null) return random.pick<Json>([null, true, 0, "x", [node], { x: node }]);
  if (Array.isArray(node)) {
    const at = random.below(node.length + 1);
    switch (random.below(4)) {
      case 0:
        return node.toSpliced(at, 1);
      case 1:
        return node.toSpliced(at, 0, ...node.slice(at, at + 1));
      case 2:
        return node.toSpliced(at, 0, nodeAt(donor, random.below(sizeOf(donor))));
      default:
        return node.toReversed();
    }
  }
  const entries = Object.entries(node);
  const at = random.below(entries.length + 1);
  const [key, value] = entries[at] ?? [word(random, own), random.pick<Json>([null, 1, "x", {}, []])];
  switch (random.below(4)) {
    case 0:
      return Object.fromEntries(entries.toSpliced(at, 1));
    case 1:
      return Object.fromEntries(entries.toSpliced(at, 1, [word(random, own), value]));
    case 2:
      return Object.fromEntries([...entries, [word(random, own), value]]);
    default:
      return Object.fromEntries([...entries, [key, nodeAt(donor, random.below(sizeOf(donor)))]]);
  }
}
