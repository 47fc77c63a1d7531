import { type Instruction, PatternError, patternProgram, type PatternProgram } from "../../kube/index.ts";

/** Instructions of one expression: the Lua program walks through all of them for each character. */
const mostInstructions = 500;

/**
 * A regular expression (RE2) that must match a whole text, as a text that the Lua program runs in linear time: for each instruction
 * `s` with the bytes it takes (`61-7A`), `j` with two ways to go on, `a` with a condition, or `m`. `undefined` when it is too large, or is none.
 * Texts are bytes there, so of a set only what is below 256 counts: the same as where field values are one character a byte.
 */
export const automatonOf = (source: string): string | undefined => textOf(`^(?:${source})$`, false);

/** An expression with its groups, for the leftmost match in a text: as `automatonOf`, and `v` notes a place. */
export const capturesOf = (source: string): string | undefined => textOf(source, true);

function textOf(source: string, groups: boolean): string | undefined {
  let program: PatternProgram;
  try {
    program = patternProgram(source, { groups });
  } catch (error) {
    if (error instanceof PatternError) return undefined;
    throw error;
  }
  const { code, sets } = program;
  if (code.length > mostInstructions) return undefined;
  return code.map((each) => wordOf(each, sets)).join(" ");
}

function wordOf(instruction: Instruction, sets: PatternProgram["sets"]): string {
  switch (instruction.op) {
    case "set":
      return `s::${rangesText(sets[instruction.set] ?? [])}`;
    case "split":
      return `j:${instruction.first}:${instruction.second}`;
    case "save":
      return `v:${instruction.slot}:`;
    case "assert":
      return `a::${instruction.assertion}`;
    case "match":
      return "m";
    default:
      return instruction satisfies never;
  }
}

/** Ranges of bytes. */
function rangesText(ranges: readonly number[]): string {
  const words: string[] = [];
  for (let i = 0; i < ranges.length; i += 2) {
    const [low = 0, high = 0] = ranges.slice(i, i + 2);
    if (low < 256) words.push(`${low}-${Math.min(high, 255)}`);
  }
  return words.join("/");
}
