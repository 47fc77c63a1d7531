import { own } from "./equal.ts";

/** A pattern is not RE2. The message is in the words of Go's `regexp/syntax`. */
export class PatternError extends Error {
  override name = "PatternError";
  readonly code = "PatternError";
}

/** Code points, as sorted and disjoint ranges: `[low, high, low, high, ...]`. */
export type Ranges = readonly number[];

export type Assertion = "beginText" | "endText" | "beginLine" | "endLine" | "wordBoundary" | "noWordBoundary";

export type PatternNode =
  | { readonly type: "empty" }
  | { readonly type: "set"; readonly ranges: Ranges }
  | { readonly type: "assert"; readonly assertion: Assertion }
  /** Numbered from 1, in the order of their opening parentheses. Only where they are asked for. */
  | { readonly type: "capture"; readonly index: number; readonly part: PatternNode }
  | { readonly type: "concat"; readonly parts: readonly PatternNode[] }
  | { readonly type: "alternate"; readonly parts: readonly PatternNode[] }
  | {
      readonly type: "repeat";
      readonly part: PatternNode;
      readonly min: number;
      /** Infinity for no bound. */
      readonly max: number;
      readonly greedy: boolean;
    };

interface Flags {
  readonly ignoreCase: boolean;
  readonly multiLine: boolean;
  readonly dotAll: boolean;
  readonly swapGreed: boolean;
}

const maxCodePoint = 0x10ffff;
/** As RE2: the most a counted repetition may ask for, nested ones multiplied. */
const maxRepeat = 1000;
const maxNesting = 1000;
/** Characters whose other case is looked up for one pattern: enough for some dozens of `(?i)\pL`. */
const maxFolding = 20_000_000;

const digits: Ranges = [0x30, 0x39];
const spaces: Ranges = [0x09, 0x0a, 0x0c, 0x0d, 0x20, 0x20];
const wordCharacters: Ranges = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a];

const perl: Readonly<Record<string, Ranges>> = { d: digits, s: spaces, w: wordCharacters };

const posix: Readonly<Record<string, Ranges>> = {
  alnum: [0x30, 0x39, 0x41, 0x5a, 0x61, 0x7a],
  alpha: [0x41, 0x5a, 0x61, 0x7a],
  ascii: [0x00, 0x7f],
  blank: [0x09, 0x09, 0x20, 0x20],
  cntrl: [0x00, 0x1f, 0x7f, 0x7f],
  digit: digits,
  graph: [0x21, 0x7e],
  lower: [0x61, 0x7a],
  print: [0x20, 0x7e],
  punct: [0x21, 0x2f, 0x3a, 0x40, 0x5b, 0x60, 0x7b, 0x7e],
  space: [0x09, 0x0d, 0x20, 0x20],
  upper: [0x41, 0x5a],
  word: wordCharacters,
  xdigit: [0x30, 0x39, 0x41, 0x46, 0x61, 0x66],
};

const escapes: Readonly<Record<string, number>> = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 };

/** Reads a pattern in the syntax of RE2 as Go has it. Throws PatternError. */
export function parsePattern(source: string, captures = false): PatternNode {
  const text = Array.from(source);
  if (text.some((char) => isSurrogate(char.codePointAt(0) ?? 0))) throw failure("invalid UTF-8", "");
  let at = 0;
  let nesting = 0;
  let captured = 0;
  let flags: Flags = { ignoreCase: false, multiLine: false, dotAll: false, swapGreed: false };
  const names = new Set<string>();

  /** What comes next, at most so many characters: never all of it, which would be read anew at each. */
  const ahead = (count: number): string => text.slice(at, at + count).join("");
  const startsWith = (prefix: string) => text[at] === prefix[0] && ahead(prefix.length) === prefix;

  let foldingLeft = maxFolding;
  const fold = (ranges: Ranges): Ranges => {
    for (let i = 0; i < ranges.length; i += 2) foldingLeft -= 1 + (ranges[i + 1] ?? 0) - (ranges[i] ?? 0);
    if (foldingLeft < 0) throw failure("expression too large", source.slice(0, 64));
    return folded(ranges);
  };

  const alternation = (): PatternNode => {
    const parts = [sequence()];
    while (text[at] === "|") {
      at++;
      parts.push(sequence());
    }
    return parts.length === 1 ? (parts[0] ?? { type: "empty" }) : { type: "alternate", parts };
  };

  const sequence = (): PatternNode => {
    const parts: PatternNode[] = [];
    while (at < text.length && text[at] !== "|" && text[at] !== ")") {
      if (startsWith("\\Q")) {
        quoted(parts);
        continue;
      }
      const atom = one();
      if (atom) parts.push(repeated(atom));
    }
    return parts.length === 1 ? (parts[0] ?? { type: "empty" }) : { type: "concat", parts };
  };

  const quoted = (parts: PatternNode[]): void => {
    at += 2;
    while (at < text.length && !startsWith("\\E")) parts.push(literal(text[at++] ?? ""));
    at += 2;
    const last = parts.pop();
    if (last) parts.push(repeated(last));
  };

  const literal = (char: string): PatternNode => set(single(char.codePointAt(0) ?? 0));
  const set = (ranges: Ranges): PatternNode => ({ type: "set", ranges: flags.ignoreCase ? fold(ranges) : ranges });

  /** One thing that can be repeated; undefined for a setting of flags. */
  const one = (): PatternNode | undefined => {
    const char = text[at] ?? "";
    switch (char) {
      case "(":
        return group();
      case "[":
        return set(bracket());
      case ".":
        at++;
        return { type: "set", ranges: flags.dotAll ? [0, maxCodePoint] : [0, 9, 11, maxCodePoint] };
      case "^":
        at++;
        return { type: "assert", assertion: flags.multiLine ? "beginLine" : "beginText" };
      case "$":
        at++;
        return { type: "assert", assertion: flags.multiLine ? "endLine" : "endText" };
      case "*":
      case "+":
      case "?":
        throw failure("missing argument to repetition operator", char);
      case "{": {
        const count = counted();
        if (count) throw failure("missing argument to repetition operator", ahead(count.length));
        at++;
        return literal(char);
      }
      case "\\":
        return escaped();
      default:
        at++;
        return literal(char);
    }
  };

  const repeated = (atom: PatternNode): PatternNode => {
    let node = atom;
    let previous = -1;
    for (;;) {
      const start = at;
      const char = text[at];
      let [min, max] = [0, Infinity];
      if (char === "*" || char === "+" || char === "?") {
        at++;
        min = char === "+" ? 1 : 0;
        max = char === "?" ? 1 : Infinity;
      } else if (char === "{") {
        const count = counted();
        if (!count) return node;
        at += count.length;
        ({ min, max } = count);
        if (min > maxRepeat || (max !== Infinity && (max > maxRepeat || min > max)))
          throw failure("invalid repeat count", text.slice(start, at).join(""));
      } else return node;
      const lazy = text[at] === "?";
      if (lazy) at++;
      if (previous >= 0) throw failure("invalid nested repetition operator", text.slice(previous, at).join(""));
      previous = start;
      node = { type: "repeat", part: node, min, max, greedy: lazy === flags.swapGreed };
      if (repetitions(node) > maxRepeat) throw failure("invalid repeat count", text.slice(start, at).join(""));
    }
  };

  const counted = (): { min: number; max: number; length: number } | undefined => {
    const match = /^\{(\d+)(?:(,)(\d*))?\}/.exec(ahead(32));
    if (!match) return undefined;
    const [all, low = "", comma, high = ""] = match;
    if ((low.length > 1 && low.startsWith("0")) || (high.length > 1 && high.startsWith("0"))) return undefined;
    const min = Number(low);
    return { min, max: comma === undefined ? min : high === "" ? Infinity : Number(high), length: all.length };
  };

  const group = (): PatternNode | undefined => {
    const start = at;
    at++;
    const outer = flags;
    let index = 0;
    if (text[at] === "?") {
      const named = /^\?P?<([^>]*)>/.exec(ahead(256));
      const look = /^\?<?[=!]/.exec(ahead(3));
      if (look) throw failure("invalid or unsupported Perl syntax", `(${look[0]}`);
      if (named) {
        const [all, name = ""] = named;
        if (!/^[A-Za-z0-9_]+$/.test(name)) throw failure("invalid named capture", `(${all}`);
        if (names.has(name)) throw failure("duplicate capture group name", name);
        names.add(name);
        at += all.length;
        index = ++captured;
      } else if (setFlags(start)) return undefined;
    } else index = ++captured;
    if (++nesting > maxNesting) throw failure("expression nests too deeply", source);
    const body = alternation();
    nesting--;
    if (text[at] !== ")") throw failure("missing closing )", source);
    at++;
    flags = outer;
    return captures && index > 0 ? { type: "capture", index, part: body } : body;
  };

  /** Reads `?flags:` or `?flags)`. True when it was the latter: the flags hold to the end of the group around. */
  const setFlags = (start: number): boolean => {
    at++;
    let next = flags;
    let [on, some] = [true, false];
    for (; at < text.length; at++) {
      const char = text[at];
      const wrong = () => failure("invalid or unsupported Perl syntax", text.slice(start, at + 1).join(""));
      if (char === "i") next = { ...next, ignoreCase: on };
      else if (char === "m") next = { ...next, multiLine: on };
      else if (char === "s") next = { ...next, dotAll: on };
      else if (char === "U") next = { ...next, swapGreed: on };
      else if (char === "-") {
        if (!on) throw wrong();
        [on, some] = [false, false];
        continue;
      } else if (char === ":" || char === ")") {
        if (!on && !some) throw wrong();
        at++;
        flags = next;
        return char === ")";
      } else throw wrong();
      some = true;
    }
    throw failure("missing closing )", source);
  };

  const escaped = (): PatternNode => {
    const next = text[at + 1];
    const assertion = next === undefined ? undefined : assertions[next];
    if (assertion) {
      at += 2;
      return { type: "assert", assertion };
    }
    const known = classEscape();
    if (known) return set(known);
    if (next === "C") {
      at += 2;
      return { type: "set", ranges: [0, maxCodePoint] };
    }
    return set(single(escapedCharacter()));
  };

  /** `\d`, `\W`, `\pL`, `\P{Greek}`, at a backslash; undefined when it is none of these. */
  const classEscape = (): Ranges | undefined => {
    const next = text[at + 1] ?? "";
    const ranges = perl[next.toLowerCase()];
    if (ranges) {
      at += 2;
      return next === next.toLowerCase() ? ranges : inverted(ranges);
    }
    if (next !== "p" && next !== "P") return undefined;
    const match = /^\\[pP](?:\{(\^?)([A-Za-z_]+)\}|([A-Za-z]))/.exec(ahead(64));
    if (!match) throw failure("invalid character class range", ahead(3));
    const [all, not, long, short] = match;
    const found = unicodeRanges(long ?? short ?? "");
    if (!found) throw failure("invalid character class range", all);
    at += all.length;
    return (next === "P") !== (not === "^") ? inverted(found) : found;
  };

  const escapedCharacter = (): number => {
    const start = at;
    at++;
    const char = text[at++];
    if (char === undefined) throw failure("trailing backslash at end of expression", "");
    const known = escapes[char];
    if (known !== undefined) return known;
    if (char === "0" || (/[1-7]/.test(char) && /[0-7]/.test(text[at] ?? ""))) {
      let value = Number(char);
      for (let more = 0; more < 2 && /^[0-7]$/.test(text[at] ?? ""); more++) value = value * 8 + Number(text[at++]);
      return value;
    }
    if (char === "x") {
      const hex = /^(?:\{([0-9A-Fa-f]{1,8})\}|([0-9A-Fa-f]{2}))/.exec(ahead(12));
      const value = Number.parseInt(hex?.[1] ?? hex?.[2] ?? "", 16);
      if (hex && value <= maxCodePoint) {
        at += hex[0].length;
        return value;
      }
    } else if (/[^A-Za-z0-9_]/.test(char) && (char.codePointAt(0) ?? 0) < 0x80) return char.codePointAt(0) ?? 0;
    throw failure("invalid escape sequence", text.slice(start, Math.max(at, start + 2)).join(""));
  };

  const bracket = (): Ranges => {
    const start = at;
    at++;
    const not = text[at] === "^";
    if (not) at++;
    const ranges: number[] = [];
    // A class that comes many times counts once.
    const classes = new Set<string>();
    const addClass = (from: number, known: Ranges): void => {
      const name = text.slice(from, at).join("");
      if (!classes.has(name)) for (const bound of known) ranges.push(bound);
      classes.add(name);
    };
    for (let first = true; ; first = false) {
      if (at >= text.length) throw failure("missing closing ]", text.slice(start).join(""));
      if (text[at] === "]" && !first) break;
      if (startsWith("[:")) {
        const match = /^\[:(\^?)(\w+):\]/.exec(ahead(16));
        if (match) {
          const known = own(posix, match[2] ?? "");
          if (!known) throw failure("invalid character class range", match[0]);
          const from = at;
          at += match[0].length;
          addClass(from, match[1] === "^" ? inverted(known) : known);
          continue;
        }
      }
      const from = at;
      const known = text[at] === "\\" ? classEscape() : undefined;
      if (known) {
        addClass(from, known);
        continue;
      }
      const low = classCharacter();
      let high = low;
      if (text[at] === "-" && text[at + 1] !== "]" && at + 1 < text.length) {
        at++;
        high = classCharacter();
        if (high < low) throw failure("invalid character class range", text.slice(from, at).join(""));
      }
      ranges.push(low, high);
    }
    at++;
    const merged = normal(flags.ignoreCase ? fold(normal(ranges)) : ranges);
    return not ? inverted(merged) : merged;
  };

  const classCharacter = (): number => (text[at] === "\\" ? escapedCharacter() : (text[at++]?.codePointAt(0) ?? 0));

  const tree = alternation();
  if (text[at] === ")") throw failure("unexpected )", source);
  return tree;
}

const assertions: Readonly<Record<string, Assertion>> = {
  A: "beginText",
  z: "endText",
  b: "wordBoundary",
  B: "noWordBoundary",
};

const failure = (what: string, where: string): PatternError =>
  new PatternError(
    `error parsing regexp: ${what}${where === "" && what.startsWith("trailing") ? "" : `: \`${where}\``}`,
  );

const isSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdfff;
const single = (code: number): Ranges => [code, code];

/** How many copies of a part a counted repetition makes at most, nested ones multiplied. */
function repetitions(node: PatternNode): number {
  switch (node.type) {
    case "repeat": {
      const times = node.max === Infinity ? Math.max(node.min, 1) : Math.max(node.max, 1);
      return times * repetitions(node.part);
    }
    case "concat":
    case "alternate":
      return node.parts.reduce((most, part) => Math.max(most, repetitions(part)), 1);
    default:
      return 1;
  }
}

/** Sorted, and what touches joined. */
function normal(ranges: Ranges): Ranges {
  const pairs: [number, number][] = [];
  for (let i = 0; i < ranges.length; i += 2) pairs.push([ranges[i] ?? 0, ranges[i + 1] ?? 0]);
  pairs.sort((a, b) => a[0] - b[0]);
  const out: number[] = [];
  for (const [low, high] of pairs) {
    const last = out.length - 1;
    if (out.length > 0 && low <= (out[last] ?? 0) + 1) out[last] = Math.max(out[last] ?? 0, high);
    else out.push(low, high);
  }
  return out;
}

function inverted(ranges: Ranges): Ranges {
  const out: number[] = [];
  let next = 0;
  const sorted = normal(ranges);
  for (let i = 0; i < sorted.length; i += 2) {
    if ((sorted[i] ?? 0) > next) out.push(next, (sorted[i] ?? 0) - 1);
    next = (sorted[i + 1] ?? 0) + 1;
  }
  if (next <= maxCodePoint) out.push(next, maxCodePoint);
  return out;
}

/** With what differs only in case. Wide ranges hold both cases anyway: only the first part of a long one is looked at. */
function folded(ranges: Ranges): Ranges {
  const out: number[] = [...ranges];
  for (let i = 0; i < ranges.length; i += 2) {
    const low = ranges[i] ?? 0;
    const high = Math.min(ranges[i + 1] ?? 0, 0x1e943);
    for (let code = low; code <= high && code - low < 0x3000; code++) {
      if (isSurrogate(code)) continue;
      const char = String.fromCodePoint(code);
      for (const other of [char.toLowerCase(), char.toUpperCase()]) {
        const point = other.codePointAt(0) ?? code;
        if (point !== code && other.length === (point > 0xffff ? 2 : 1)) out.push(point, point);
      }
    }
  }
  // The two letters outside ASCII that fold into it: Kelvin sign and long s.
  if (contains(ranges, 0x4b) || contains(ranges, 0x6b)) out.push(0x212a, 0x212a);
  if (contains(ranges, 0x53) || contains(ranges, 0x73)) out.push(0x17f, 0x17f);
  return normal(out);
}

function contains(ranges: Ranges, code: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) if (code >= (ranges[i] ?? 0) && code <= (ranges[i + 1] ?? -1)) return true;
  return false;
}

const unicode = new Map<string, Ranges | undefined>();

/** The characters of a Unicode category or script; undefined when there is none of that name. Names that exist are asked of the engine once. */
function unicodeRanges(name: string): Ranges | undefined {
  const known = unicode.get(name);
  if (known) return known;
  const ranges = findUnicodeRanges(name);
  if (ranges) unicode.set(name, ranges);
  return ranges;
}

function findUnicodeRanges(name: string): Ranges | undefined {
  if (name === "Any") return [0, maxCodePoint];
  const isCategory = name.length <= 2;
  let test: RegExp;
  try {
    test = new RegExp(isCategory ? `^\\p{gc=${name}}$` : `^\\p{Script=${name}}$`, "u");
  } catch {
    return undefined;
  }
  const out: number[] = [];
  let start = -1;
  for (let code = 0; code <= maxCodePoint + 1; code++) {
    // Planes that hold no assigned characters but private ones are not walked.
    if (code === 0x32400) code = 0xe0000;
    const inside = code <= maxCodePoint && !isSurrogate(code) && test.test(String.fromCodePoint(code));
    if (inside && start < 0) start = code;
    if (!inside && start >= 0) {
      out.push(start, code - 1);
      start = -1;
    }
  }
  return out;
}
