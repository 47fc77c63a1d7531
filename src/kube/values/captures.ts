import { parsePattern, PatternError, type PatternNode, type Ranges } from "./pattern-syntax.ts";

/** The leftmost match of a pattern with its groups: [0] is all of it; a group that took no part is `undefined`. */
export type Captures = (text: string) => readonly (string | undefined)[] | undefined;

/** Instructions of one pattern: counted repetitions multiply them. */
const maxInstructions = 10_000;

export type CaptureInstruction =
  | { readonly op: "set"; readonly ranges: Ranges }
  | { readonly op: "split"; first: number; second: number }
  | { readonly op: "save"; readonly slot: number }
  | { readonly op: "assert"; readonly assertion: string }
  | { readonly op: "match" };

/**
 * Compiles a pattern (RE2) for its groups. A match takes time in proportion to text times pattern: no backtracking, whatever the
 * pattern. Throws PatternError, also for one that is too large.
 */
export function compileCaptures(source: string): Captures {
  const { code, slots } = programOf(parsePattern(source, true), source);
  return (text) => run(code, slots, text);
}

/** The instructions of a pattern (RE2) with its groups, for whoever runs them elsewhere: `set` and `assert` go on behind themselves. */
export function captureProgram(source: string): {
  readonly code: readonly CaptureInstruction[];
  readonly slots: number;
} {
  return programOf(parsePattern(source, true), source);
}

interface Thread {
  readonly at: number;
  readonly saved: readonly (number | undefined)[];
}

function run(code: readonly CaptureInstruction[], slots: number, text: string): (string | undefined)[] | undefined {
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
      if (instruction?.op === "set" && has(instruction.ranges, point)) threads.push({ at: at + 1, saved });
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

function holds(assertion: string, text: string, at: number): boolean {
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

function programOf(tree: PatternNode, source: string): { code: CaptureInstruction[]; slots: number } {
  const code: CaptureInstruction[] = [];
  let slots = 2;
  const emit = <T extends CaptureInstruction>(instruction: T): T => {
    if (code.length >= maxInstructions)
      throw new PatternError(`error parsing regexp: expression too large: \`${source.slice(0, 64)}\``);
    code.push(instruction);
    return instruction;
  };
  /** Something that may be left out. What comes after it is told later. */
  const optional = (greedy: boolean): ((target: number) => void) => {
    const split = emit({ op: "split", first: code.length + 1, second: code.length + 1 });
    return (target) => {
      if (greedy) split.second = target;
      else split.first = target;
    };
  };
  const write = (node: PatternNode): void => {
    switch (node.type) {
      case "empty":
        return;
      case "set":
        emit({ op: "set", ranges: node.ranges });
        return;
      case "assert":
        emit({ op: "assert", assertion: node.assertion });
        return;
      case "concat":
        for (const part of node.parts) write(part);
        return;
      case "capture":
        slots = Math.max(slots, 2 * node.index + 2);
        emit({ op: "save", slot: 2 * node.index });
        write(node.part);
        emit({ op: "save", slot: 2 * node.index + 1 });
        return;
      case "alternate": {
        const jumps: { first: number; second: number }[] = [];
        node.parts.forEach((part, i) => {
          const last = i === node.parts.length - 1;
          const setOther = last ? undefined : optional(true);
          write(part);
          if (!last) jumps.push(emit({ op: "split", first: 0, second: 0 }));
          setOther?.(code.length);
        });
        for (const jump of jumps) jump.first = jump.second = code.length;
        return;
      }
      case "repeat": {
        for (let i = 0; i < node.min; i++) write(node.part);
        if (node.max === Infinity) {
          const start = code.length;
          const setEnd = optional(node.greedy);
          write(node.part);
          emit({ op: "split", first: start, second: start });
          setEnd(code.length);
          return;
        }
        const ends: ((target: number) => void)[] = [];
        for (let i = node.min; i < node.max; i++) {
          ends.push(optional(node.greedy));
          write(node.part);
        }
        for (const setEnd of ends) setEnd(code.length);
      }
    }
  };
  emit({ op: "save", slot: 0 });
  write(tree);
  emit({ op: "save", slot: 1 });
  emit({ op: "match" });
  return { code, slots };
}
