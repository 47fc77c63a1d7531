import {
  type CaptureInstruction,
  captureProgram,
  type Instruction,
  PatternError,
  patternProgram,
} from "../../kube/index.ts";

/** Instructions of one expression: the Lua program walks through all of them for each character. */
const mostInstructions = 500;

/**
 * A regular expression (RE2) that must match a whole text, as a text that the Lua program runs in linear time: for each instruction
 * `s` with the bytes it takes (`61-7A`), `j` with two ways to go on, `a` with a condition, or `m`. `undefined` when it is too large.
 * Texts are bytes there, so of a set only what is below 256 counts: the same as where field values are one character a byte.
 */
export function automatonOf(source: string): string | undefined {
  let program: ReturnType<typeof patternProgram>;
  try {
    program = patternProgram(`^(?:${source})$`);
  } catch (error) {
    if (error instanceof PatternError) return undefined;
    throw error;
  }
  const { code, sets } = program;
  if (code.length > mostInstructions) return undefined;
  const bytesOf = (set: number): string => rangesText(sets[set] ?? []);
  return code.map((each) => wordOf(each, bytesOf)).join(" ");
}

function wordOf(instruction: Instruction, bytesOf: (set: number) => string): string {
  switch (instruction.op) {
    case "set":
      return `s:${instruction.next}:${bytesOf(instruction.set)}`;
    case "split":
      return `j:${instruction.first}:${instruction.second}`;
    case "assert":
      return `a:${instruction.next}:${instruction.assertion}`;
    case "match":
      return "m";
    default:
      return instruction satisfies never;
  }
}

/**
 * An expression with its groups, for the leftmost match in a text: as `automatonOf`, but an instruction goes on behind itself, and `v` notes
 * a place. `undefined` when it is too large, or is none.
 */
export function capturesOf(source: string): string | undefined {
  let code: readonly CaptureInstruction[];
  try {
    ({ code } = captureProgram(source));
  } catch (error) {
    if (error instanceof PatternError) return undefined;
    throw error;
  }
  if (code.length > mostInstructions) return undefined;
  return code.map(captureWord).join(" ");
}

function captureWord(instruction: CaptureInstruction): string {
  switch (instruction.op) {
    case "set":
      return `s::${rangesText(instruction.ranges)}`;
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
