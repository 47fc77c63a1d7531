import { type Assertion, parsePattern, PatternError, type PatternNode, type Ranges } from "./pattern-syntax.ts";

/**
 * A step of a program: one character of a set, two ways to go on (the first is preferred; numbers of instructions), a place to note (a slot: two for
 * each group, its begin and its end), a condition on where it is, or the end. All but `split` and `match` go on behind themselves.
 */
export type Instruction =
  | { readonly op: "set"; readonly set: number }
  | { readonly op: "split"; first: number; second: number }
  | { readonly op: "save"; readonly slot: number }
  | { readonly op: "assert"; readonly assertion: Assertion }
  | { readonly op: "match" };

/** A pattern (RE2) for an automaton that is in many places at once: it takes time in proportion to the text, whatever the pattern. It begins at 0. */
export interface PatternProgram {
  readonly code: readonly Instruction[];
  readonly sets: readonly Ranges[];
  /** Places that `save` notes: those of the whole match and of each group; 0 when groups are not asked for. */
  readonly slots: number;
}

/** Instructions of one pattern: counted repetitions multiply them. Notes of places make each step dearer. */
const most = { plain: 50_000, groups: 10_000 };

/** Compiles a pattern, with its groups or without. Throws PatternError, also for one that is too large. */
export function patternProgram(source: string, { groups = false } = {}): PatternProgram {
  const code: Instruction[] = [];
  const sets: Ranges[] = [];
  const setIds = new Map<string, number>();
  let slots = groups ? 2 : 0;
  const emit = <T extends Instruction>(instruction: T): T => {
    if (code.length >= (groups ? most.groups : most.plain))
      throw new PatternError(`error parsing regexp: expression too large: \`${source.slice(0, 64)}\``);
    code.push(instruction);
    return instruction;
  };
  const setId = (ranges: Ranges): number => {
    const key = ranges.join();
    const id = setIds.get(key) ?? sets.length;
    if (id === sets.length) {
      sets.push(ranges);
      setIds.set(key, id);
    }
    return id;
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
        emit({ op: "set", set: setId(node.ranges) });
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
  const tree = parsePattern(source, groups);
  if (groups) emit({ op: "save", slot: 0 });
  write(tree);
  if (groups) emit({ op: "save", slot: 1 });
  emit({ op: "match" });
  return { code, sets, slots };
}
