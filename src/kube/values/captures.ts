import { patternProgram, type PatternProgram } from "./pattern-program.ts";
import type { Assertion, Ranges } from "./pattern-syntax.ts";

/** The leftmost match of a pattern with its groups: [0] is all of it; a group that took no part is `undefined`. */
export type Captures = (text: string) => readonly (string | undefined)[] | undefined;

/**
 * Compiles a pattern (RE2) for its groups. A match takes time in proportion to text times pattern: no backtracking, whatever the
 * pattern. Throws PatternError, also for one that is too large.
 */
export function compileCaptures(source: string): Captures {
  const program = patternProgram(source, { groups: true });
  return (text) => run(program, text);
}

interface Thread {
  readonly at: number;
  readonly saved: readonly (number | undefined)[];
}

function run({ code, sets, slots }: PatternProgram, text: string): (string | undefined)[] | undefined {
  let threads: Thread[] = [];
  let best: readonly (number | undefined)[] | undefined;
  const seen = new Int32Array(code.length).fill(-1);

  /** Follows what takes no character, the preferred way first. True when a match was met: what is less preferred is dropped. */
  function follow(list: Thread[], first: number, from: readonly (number | undefined)[], position: number): boolean {
    const stack: Thread[] = [{ at: first, saved: from }];
    for (let thread = stack.pop(); thread; thread = stack.pop()) {
      const { at, saved } = thread;
      if (seen[at] === position) continue;
      seen[at] = position;
      const instruction = code[at] ?? { op: "match" };
      switch (instruction.op) {
        case "match":
          best = saved;
          return true;
        case "set":
          list.push(thread);
          break;
        case "split":
          stack.push({ at: instruction.second, saved }, { at: instruction.first, saved });
          break;
        case "save":
          stack.push({ at: at + 1, saved: saved.map((each, slot) => (slot === instruction.slot ? position : each)) });
          break;
        case "assert":
          if (holds(instruction.assertion, text, position)) stack.push({ at: at + 1, saved });
      }
    }
    return false;
  }

  const none = Array.from<undefined>({ length: slots });
  let position = 0;
  for (;;) {
    const now: Thread[] = [];
    // Threads of this place were followed when the character before it was taken; a new start comes after all of them.
    let cut = false;
    for (const { at, saved } of threads) {
      if (follow(now, at, saved, position)) {
        cut = true;
        break;
      }
    }
    if (!cut && best === undefined) follow(now, 0, none, position);
    const point = text.codePointAt(position);
    if (point === undefined || (now.length === 0 && best !== undefined)) break;
    threads = [];
    for (const { at, saved } of now) {
      const instruction = code[at];
      if (instruction?.op === "set" && has(sets[instruction.set] ?? [], point)) threads.push({ at: at + 1, saved });
    }
    position += point > 0xffff ? 2 : 1;
  }
  if (best === undefined) return undefined;
  const found: (string | undefined)[] = [];
  for (let slot = 0; slot < slots; slot += 2) {
    const [start, end] = [best[slot], best[slot + 1]];
    found.push(start === undefined || end === undefined ? undefined : text.slice(start, end));
  }
  return found;
}

function has(ranges: Ranges, point: number): boolean {
  for (let i = 0; i < ranges.length; i += 2)
    if (point >= (ranges[i] ?? 0) && point <= (ranges[i + 1] ?? -1)) return true;
  return false;
}

function holds(assertion: Assertion, text: string, at: number): boolean {
  const word = (index: number): boolean => /\w/.test(text[index] ?? "");
  switch (assertion) {
    case "beginText":
      return at === 0;
    case "endText":
      return at === text.length;
    case "beginLine":
      return at === 0 || text[at - 1] === "\n";
    case "endLine":
      return at === text.length || text[at] === "\n";
    default:
      return (assertion === "wordBoundary") === (word(at - 1) !== word(at));
  }
}
