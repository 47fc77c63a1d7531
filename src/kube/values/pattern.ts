import { type Instruction, patternProgram } from "./pattern-program.ts";
import { type Assertion, PatternError, type Ranges } from "./pattern-syntax.ts";

export { PatternError };

/**
 * A regular expression in the syntax and with the meaning of RE2, as Go has it. The time a match takes grows with the length of the
 * text only: there is no backtracking. Not anchored, unless the pattern is.
 */
export interface Pattern {
  readonly source: string;
  test(text: string): boolean;
  /** The leftmost match from `from` (an index in UTF-16 units) on, of which the first alternatives are preferred. */
  find(text: string, from?: number): { readonly start: number; readonly end: number } | undefined;
  /** Matches that do not overlap, from the left; at most `limit`. */
  findAll(text: string, limit?: number): string[];
}

/** Remembered transitions of one pattern; beyond, all are forgotten and found anew. */
const maxTransitions = 1 << 18;

/** What a character is to an assertion. */
const kinds = { edge: 0, newline: 1, word: 2, other: 3 };

interface State {
  readonly threads: readonly number[];
  /** Kind of the character before. */
  readonly before: number;
  readonly next: (State | undefined)[];
}

/** Compiles a pattern. Throws PatternError, with a message in the words of Go's `regexp/syntax`. */
export function compilePattern(source: string): Pattern {
  const { code, sets } = patternProgram(source);
  const alphabet = alphabetOf(sets);
  const members = sets.map((ranges) => alphabet.members(ranges));
  const anchored = startsAtBegin(code);
  const end = alphabet.size;

  const matched: State = { threads: [], before: kinds.edge, next: [] };
  const dead: State = { threads: [], before: kinds.edge, next: [] };
  const states = new Map<string, State>();
  const stateOf = (threads: readonly number[], before: number): State => {
    const key = `${before}:${threads.join()}`;
    let state = states.get(key);
    if (!state) {
      if ((states.size + 1) * (end + 1) > maxTransitions) {
        for (const old of states.values()) old.next.fill(undefined);
        states.clear();
        initial.next.fill(undefined);
      }
      state = { threads, before, next: Array.from<undefined>({ length: end + 1 }) };
      states.set(key, state);
    }
    return state;
  };
  const initial: State = { threads: [0], before: kinds.edge, next: Array.from<undefined>({ length: end + 1 }) };

  const seen = new Uint32Array(code.length);
  let round = 0;
  /** Follows all that takes no character. Calls `visit` for what takes one, in order of preference; true when a match was met. */
  const follow = (from: number, before: number, after: number, visit: (at: number) => void): boolean => {
    const stack = [from];
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      if (seen[at] === round) continue;
      seen[at] = round;
      const instruction = code[at] ?? { op: "match" };
      if (instruction.op === "match") return true;
      if (instruction.op === "set") visit(at);
      else if (instruction.op === "split") stack.push(instruction.second, instruction.first);
      else if (instruction.op === "save" || holds(instruction.assertion, before, after)) stack.push(at + 1);
    }
    return false;
  };
  const nextRound = () => {
    round = (round + 1) >>> 0;
    if (round === 0) {
      seen.fill(0);
      round = 1;
    }
  };
  const step = (state: State, symbol: number): State => {
    nextRound();
    const next = new Set<number>();
    const after = symbol === end ? kinds.edge : alphabet.kind(symbol);
    const visit = (at: number) => {
      const instruction = code[at];
      if (instruction?.op === "set" && symbol !== end && members[instruction.set]?.[symbol] === 1) next.add(at + 1);
    };
    for (const thread of state.threads) if (follow(thread, state.before, after, visit)) return matched;
    if (symbol === end) return dead;
    if (!anchored) next.add(0);
    return next.size === 0
      ? dead
      : stateOf(
          [...next].sort((a, b) => a - b),
          after,
        );
  };

  const test = (text: string): boolean => {
    let state = initial;
    for (let at = 0; at < text.length; at++) {
      let unit = text.charCodeAt(at);
      if (unit >= 0xd800 && unit < 0xdc00) {
        unit = text.codePointAt(at) ?? unit;
        if (unit > 0xffff) at++;
      }
      const symbol = alphabet.symbol(unit);
      const next: State = state.next[symbol] ?? step(state, symbol);
      state.next[symbol] = next;
      if (next === matched) return true;
      if (next === dead) return false;
      state = next;
    }
    return (state.next[end] ??= step(state, end)) === matched;
  };

  const find = (text: string, from = 0): { start: number; end: number } | undefined => {
    let threads: { at: number; start: number }[] = [];
    let best: { start: number; end: number } | undefined;
    let before = from === 0 ? kinds.edge : alphabet.kind(alphabet.symbol(codeBefore(text, from)));
    for (let at = from; ;) {
      const point = text.codePointAt(at);
      const symbol = point === undefined ? end : alphabet.symbol(point);
      const after = symbol === end ? kinds.edge : alphabet.kind(symbol);
      nextRound();
      const next: { at: number; start: number }[] = [];
      // A new start is preferred less than every one before it, and there is none when one has matched.
      if (!best && (!anchored || at === 0)) threads.push({ at: 0, start: at });
      for (const thread of threads) {
        const met = follow(thread.at, before, after, (where) => {
          const instruction = code[where];
          if (instruction?.op === "set" && symbol !== end && members[instruction.set]?.[symbol] === 1)
            next.push({ at: where + 1, start: thread.start });
        });
        if (met) {
          best = { start: thread.start, end: at };
          break;
        }
      }
      if (point === undefined || (next.length === 0 && (best || anchored))) return best;
      threads = next;
      at += point > 0xffff ? 2 : 1;
      before = after;
    }
  };

  const findAll = (text: string, limit = Infinity): string[] => {
    const found: string[] = [];
    let last = -1;
    for (let from = 0; from <= text.length && found.length < limit;) {
      const match = find(text, from);
      if (!match) break;
      // An empty match right after another one does not count.
      if (match.end > match.start || match.start !== last) found.push(text.slice(match.start, match.end));
      last = match.end;
      from = match.end > match.start ? match.end : match.end + ((text.codePointAt(match.end) ?? 0) > 0xffff ? 2 : 1);
    }
    return found;
  };

  return { source, test, find, findAll };
}

function codeBefore(text: string, at: number): number {
  const unit = text.charCodeAt(at - 1);
  return unit >= 0xdc00 && unit <= 0xdfff && at > 1 ? (text.codePointAt(at - 2) ?? unit) : unit;
}

function holds(assertion: Assertion, before: number, after: number): boolean {
  switch (assertion) {
    case "beginText":
      return before === kinds.edge;
    case "endText":
      return after === kinds.edge;
    case "beginLine":
      return before === kinds.edge || before === kinds.newline;
    case "endLine":
      return after === kinds.edge || after === kinds.newline;
    default:
      return (assertion === "wordBoundary") === ((before === kinds.word) !== (after === kinds.word));
  }
}

/** True when every way into the program goes through the begin of the text: then no later start needs to be tried. */
function startsAtBegin(code: readonly Instruction[]): boolean {
  const first = code[0];
  return first?.op === "assert" && first.assertion === "beginText";
}

interface Alphabet {
  /** Number of symbols: characters that no part of the pattern tells apart are one symbol. */
  readonly size: number;
  symbol(code: number): number;
  kind(symbol: number): number;
  members(ranges: Ranges): Uint8Array;
}

const newline: Ranges = [10, 10];
const word: Ranges = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a];

function alphabetOf(sets: readonly Ranges[]): Alphabet {
  const cuts = new Set<number>([0]);
  for (const ranges of [...sets, newline, word])
    for (let i = 0; i < ranges.length; i += 2) cuts.add(ranges[i] ?? 0).add((ranges[i + 1] ?? 0) + 1);
  const starts = Uint32Array.from([...cuts].filter((cut) => cut <= 0x10ffff).sort((a, b) => a - b));

  const search = (code: number): number => {
    let [low, high] = [0, starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= code) low = middle;
      else high = middle - 1;
    }
    return low;
  };
  const members = (ranges: Ranges): Uint8Array => {
    const out = new Uint8Array(starts.length);
    for (let i = 0; i < ranges.length; i += 2) out.fill(1, search(ranges[i] ?? 0), search(ranges[i + 1] ?? 0) + 1);
    return out;
  };
  const ascii = Uint16Array.from({ length: 128 }, (_, code) => search(code));
  const [newlines, words] = [members(newline), members(word)];
  return {
    size: starts.length,
    symbol: (code) => (code < 128 ? (ascii[code] ?? 0) : search(code)),
    kind: (symbol) => (newlines[symbol] === 1 ? kinds.newline : words[symbol] === 1 ? kinds.word : kinds.other),
    members,
  };
}
