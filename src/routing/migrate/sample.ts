import { wholePattern } from "../expression.ts";

/**
 * A text that an expression matches from its begin, such as `/users/0/` of `/users/(\d+)/(.*)`; `undefined` where none is found. It is made of
 * the simplest choices and then tried, so what it says is so.
 */
export function sampleOf(expression: string): string | undefined {
  const text = simplest(expression);
  return text !== undefined && matchesFromBegin(expression, text) ? text : undefined;
}

/** Whether an expression of a host with expressions matches a path: from its begin, without regard to case. */
export function matchesFromBegin(expression: string, path: string): boolean {
  return wholePattern(`(?i)(?:${expression}).*`)?.test(path) ?? false;
}

const classes: Readonly<Record<string, string>> = { d: "0", w: "a", s: " ", D: "a", W: "-", S: "a" };
const longest = 256;

/** The first alternative, no repetition that may be left out, and the first of each set of characters. */
function simplest(expression: string): string | undefined {
  let at = 0;
  let failed = false;

  function alternatives(): string {
    const first = sequence();
    while (expression[at] === "|") {
      at++;
      sequence();
    }
    return first;
  }

  function sequence(): string {
    let out = "";
    while (!failed && at < expression.length && expression[at] !== "|" && expression[at] !== ")") {
      out += atom().repeat(repetitions());
      if (out.length > longest) fail();
    }
    return out;
  }

  function atom(): string {
    const character = expression[at++] ?? "";
    if (character === "(") return group();
    if (character === "[") return set();
    if (character === ".") return "a";
    if (character === "^" || character === "$") return "";
    if (character !== "\\") return character;
    const escaped = expression[at++] ?? "";
    return classes[escaped] ?? (/[A-Za-z0-9]/.test(escaped) ? fail() : escaped);
  }

  function group(): string {
    if (expression[at] === "?") {
      const [, flags] = /^\?(:|P?<\w+>)/.exec(expression.slice(at)) ?? [];
      if (flags === undefined) return fail();
      at += 1 + flags.length;
    }
    const inner = alternatives();
    if (expression[at++] !== ")") return fail();
    return inner;
  }

  function set(): string {
    const end = expression.indexOf("]", at + 1);
    if (end < 0) return fail();
    const inner = expression.slice(at, end);
    at = end + 1;
    if (inner.startsWith("[:")) return fail();
    const candidates = inner.startsWith("^")
      ? "a0-_~/"
      : inner.replaceAll(/\\(.)/g, (_, each: string) => classes[each] ?? each);
    return Array.from(candidates).find((each) => wholePattern(`[${inner}]`)?.test(each)) ?? fail();
  }

  function repetitions(): number {
    const [all = "", least] = /^(?:[*?]|\+|\{(\d+)(?:,\d*)?\})\??/.exec(expression.slice(at)) ?? [];
    at += all.length;
    if (all === "") return 1;
    return least === undefined ? (all.startsWith("+") ? 1 : 0) : Math.min(Number(least), longest);
  }

  function fail(): string {
    failed = true;
    return "";
  }

  const text = alternatives();
  return failed || at < expression.length || !text.startsWith("/") ? undefined : text;
}
