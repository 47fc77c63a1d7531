import { compilePattern, PatternError, type Pattern } from "../../values/pattern.ts";
import { fail } from "../values.ts";

/** Patterns that expressions used last: most are literals, and the same for every object. */
const known = new Map<string, Pattern>();
const most = 256;

/** The pattern of this source. Throws EvaluationFault when it is none. */
export function patternOf(source: string): Pattern {
  const cached = known.get(source);
  if (cached) return cached;
  let pattern: Pattern;
  try {
    pattern = compilePattern(source);
  } catch (error) {
    if (error instanceof PatternError) return fail(error.message);
    throw error;
  }
  const [oldest] = known.keys();
  if (known.size >= most && oldest !== undefined) known.delete(oldest);
  known.set(source, pattern);
  return pattern;
}
