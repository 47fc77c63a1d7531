import { compilePattern, PatternError, type Pattern } from "../kube/index.ts";

const compiled = new Map<string, Pattern | undefined>();
const most = 4096;

/** An expression that must match a whole text, in linear time (RE2); `undefined` when it is none. At most so many are remembered. */
export function wholePattern(source: string): Pattern | undefined {
  if (compiled.has(source)) return compiled.get(source);
  let pattern: Pattern | undefined;
  try {
    // By itself first: `a)|(b` is no expression, even if it is one between parentheses.
    compilePattern(source);
    pattern = compilePattern(`^(?:${source})$`);
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
  }
  if (compiled.size >= most) compiled.clear();
  compiled.set(source, pattern);
  return pattern;
}

/** What is wrong with an expression; `undefined` when it can be used. */
export function expressionFault(source: string): string | undefined {
  return wholePattern(source) ? undefined : `${JSON.stringify(source)} is not a regular expression (RE2)`;
}
