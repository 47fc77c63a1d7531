import type { Value } from "../values.ts";
import { operators, type Comprehension, type Expr } from "./ast.ts";
import { SyntaxFault } from "./errors.ts";
import { tokenize, type Token } from "./lexer.ts";

/** Deepest nesting of an expression, and the longest: as upstream's parser has them. */
const maxDepth = 250;
const maxLength = 100_000;

const reserved: ReadonlySet<string> = new Set(
  "as break const continue else for function if import let loop package namespace return var void while".split(" "),
);
const primaries =
  "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";

const relations: ReadonlySet<string> = new Set(["==", "!=", "<", "<=", ">", ">=", "in"]);
const sums: ReadonlySet<string> = new Set(["+", "-"]);
const products: ReadonlySet<string> = new Set(["*", "/", "%"]);

type NewExpr = Expr extends infer E ? (E extends Expr ? Omit<E, "depth"> : never) : never;

/** Reads an expression and expands its macros. Throws SyntaxFault. */
export function parse(source: string): Expr {
  if (source.length > maxLength)
    throw new SyntaxFault(0, `expression code point size exceeds limit: size: ${source.length}, limit ${maxLength}`);
  const tokens = tokenize(source);
  let index = 0;
  let nesting = 0;

  const peek = (): Token => tokens[index] ?? { type: "end", at: source.length, text: "<EOF>" };
  const next = (): Token => {
    const token = peek();
    index++;
    return token;
  };
  const isNext = (text: string): boolean => {
    const { type, text: found } = peek();
    return found === text && (type === "punct" || type === "keyword");
  };
  const take = (text: string): boolean => {
    if (!isNext(text)) return false;
    index++;
    return true;
  };
  const unexpected = (expecting: string): SyntaxFault =>
    new SyntaxFault(peek().at, `Syntax error: mismatched input '${peek().text}' expecting ${expecting}`);
  /** What stands from `at` on begins nothing that there is. */
  const noAlternative = (at: number): SyntaxFault => {
    const { at: end, text, type } = peek();
    const input = source.slice(at, end).trimEnd() + (type === "end" ? "" : text);
    return new SyntaxFault(end, `Syntax error: no viable alternative at input '${input}'`);
  };
  const expect = (text: string): void => {
    if (!take(text)) throw unexpected(`'${text}'`);
  };

  const node = (expr: NewExpr): Expr => {
    const depth = 1 + childrenOf(expr).reduce((most, child) => Math.max(most, child.depth), 0);
    if (depth > maxDepth) throw new SyntaxFault(expr.at, `expression recursion limit exceeded: ${maxDepth}`);
    return { ...expr, depth };
  };
  const call = (at: number, name: string, ...args: Expr[]): Expr => node({ kind: "call", at, name, args });

  const expression = (): Expr => {
    if (++nesting > maxDepth) throw new SyntaxFault(peek().at, `expression recursion limit exceeded: ${maxDepth}`);
    const condition = logical("||", () => logical("&&", relation));
    const at = peek().at;
    let result = condition;
    if (take("?")) {
      const yes = logical("||", () => logical("&&", relation));
      expect(":");
      result = call(at, "_?_:_", condition, yes, expression());
    }
    nesting--;
    return result;
  };

  /** Chains become balanced trees, so that long ones are not deep. */
  const logical = (operator: "&&" | "||", operand: () => Expr): Expr => {
    const parts = [operand()];
    const places: number[] = [];
    while (isNext(operator)) {
      places.push(next().at);
      parts.push(operand());
    }
    const balanced = (low: number, high: number): Expr => {
      const only = parts[low];
      if (low === high && only) return only;
      const middle = (low + high) >> 1;
      return call(places[middle] ?? 0, operators[operator], balanced(low, middle), balanced(middle + 1, high));
    };
    return balanced(0, parts.length - 1);
  };

  const chain = (of: ReadonlySet<string>, operand: () => Expr): Expr => {
    let left = operand();
    while (of.has(peek().text) && (peek().type === "punct" || peek().type === "keyword")) {
      const { at, text } = next();
      left = call(at, operators[text as keyof typeof operators], left, operand());
    }
    return left;
  };
  const relation = (): Expr => chain(relations, () => chain(sums, () => chain(products, unary)));

  const unary = (): Expr => {
    const at = peek().at;
    let [nots, minuses] = [0, 0];
    while (take("!")) nots++;
    if (nots === 0) while (take("-")) minuses++;
    if (minuses % 2 === 1 && isNumber(peek().value)) {
      const value = next().value as bigint | number;
      return members(node({ kind: "literal", at, value: -value as Value }));
    }
    const operand = members(primary());
    if (nots % 2 === 1) return call(at, "!_", operand);
    return minuses % 2 === 1 ? call(at, "-_", operand) : operand;
  };

  const members = (start: Expr): Expr => {
    let operand = start;
    for (;;) {
      const { at } = peek();
      if (take(".")) {
        const optional = take("?");
        const { type, text, at: nameAt } = peek();
        if (type !== "ident" && optional) throw unexpected("IDENTIFIER");
        if (type !== "ident") throw noAlternative(at);
        index++;
        if (!optional && isNext("(")) {
          const open = next().at;
          operand = method(open, operand, text, list(")"));
        } else if (!optional && isNext("{") && qualifiedName(operand)) {
          index++;
          operand = struct(operand.at, `${qualifiedName(operand)}.${text}`);
        } else
          operand = node({ kind: "select", at: optional ? nameAt : at, operand, field: text, test: false, optional });
      } else if (take("[")) {
        const optional = take("?");
        const key = expression();
        expect("]");
        operand = call(at, optional ? "_[?_]" : "_[_]", operand, key);
      } else return operand;
    }
  };

  const list = (close: string): Expr[] => {
    const items: Expr[] = [];
    while (!take(close)) {
      // Here the list may end, too.
      if (items.length === 0 && peek().type === "end") throw unexpected(primaries.replace("'('", `'(', '${close}'`));
      items.push(expression());
      if (!isNext(close) && !take(",")) throw unexpected(`{'${close}', ','}`);
      if (close === ")" && isNext(close) && items.length > 0 && tokens[index - 1]?.text === ",")
        throw unexpected(primaries);
    }
    return items;
  };

  const primary = (): Expr => {
    const token = next();
    const { at, type, text } = token;
    if (type === "literal") {
      if (token.value === 2n ** 63n) throw new SyntaxFault(at, "invalid int literal");
      return node({ kind: "literal", at, value: token.value ?? null });
    }
    if (type === "ident" || (type === "punct" && text === "." && peek().type === "ident")) {
      const name = type === "ident" ? text : next().text;
      if (reserved.has(name)) throw new SyntaxFault(at, `reserved identifier: ${name}`);
      if (isNext("(")) {
        const open = next().at;
        return globalCall(open, name, list(")"));
      }
      if (isNext("{") && /^[A-Z]/.test(name)) {
        index++;
        return struct(at, name);
      }
      return node({ kind: "ident", at, name });
    }
    if (type === "punct" && text === "(") {
      const inner = expression();
      expect(")");
      return inner;
    }
    if (type === "punct" && text === "[") {
      const items: { value: Expr; optional: boolean }[] = [];
      while (!take("]")) {
        const optional = take("?");
        items.push({ value: expression(), optional });
        if (!isNext("]") && !take(",")) throw unexpected("{']', ','}");
      }
      return node({ kind: "list", at, items });
    }
    if (type === "punct" && text === "{") {
      const entries: { key: Expr; value: Expr; optional: boolean }[] = [];
      while (!take("}")) {
        const optional = take("?");
        const key = expression();
        expect(":");
        entries.push({ key, value: expression(), optional });
        if (!isNext("}") && !take(",")) throw unexpected("{'}', ','}");
      }
      return node({ kind: "map", at, entries });
    }
    index--;
    throw unexpected(primaries);
  };

  const struct = (at: number, name: string): Expr => {
    const fields: { at: number; name: string; value: Expr; optional: boolean }[] = [];
    while (!take("}")) {
      const optional = take("?");
      const { type, text, at: fieldAt } = next();
      if (type !== "ident") {
        index--;
        throw unexpected("{'}', ',', IDENTIFIER}");
      }
      expect(":");
      fields.push({ at: fieldAt, name: text, value: expression(), optional });
      if (!isNext("}") && !take(",")) throw unexpected("{'}', ','}");
    }
    return node({ kind: "struct", at, name, fields });
  };

  const globalCall = (at: number, name: string, args: readonly Expr[]): Expr => {
    const [only] = args;
    if (name === "has" && args.length === 1 && only) {
      if (only.kind !== "select" || only.optional || only.test)
        throw new SyntaxFault(only.at, "invalid argument to has() macro");
      return node({ ...only, at, test: true });
    }
    return node({ kind: "call", at, name, args });
  };

  const method = (at: number, target: Expr, name: string, args: readonly Expr[]): Expr => {
    const macro = comprehensions[name];
    const count = args.length;
    if (macro && macro.counts.includes(count)) {
      const two = macro.two || count - (macro.macro === "map" ? 0 : 2) === 1;
      const variables = args.slice(0, two && macro.macro !== "map" ? 2 : 1).map(variableName);
      if (variables.length === 2 && variables[0] === variables[1])
        throw new SyntaxFault(args[1]?.at ?? at, `duplicate variable name: ${variables[0]}`);
      const rest = args.slice(variables.length);
      const step = macro.step ? rest.at(-1) : undefined;
      const condition = macro.step ? (rest.length > 1 ? rest[0] : undefined) : rest[0];
      return node({
        kind: "comprehension",
        at,
        macro: macro.macro,
        range: target,
        variables,
        ...(condition ? { condition } : {}),
        ...(step ? { step } : {}),
      });
    }
    const [first, second] = args;
    if ((name === "optMap" || name === "optFlatMap") && first && second && count === 2)
      return node({ kind: "optMap", at, target, name: variableName(first), body: second, flat: name === "optFlatMap" });
    return node({ kind: "call", at, name, target, args });
  };

  const result = expression();
  if (peek().type !== "end") throw unexpected("<EOF>");
  return result;
}

const isNumber = (value: Value | undefined): boolean => typeof value === "bigint" || typeof value === "number";

function variableName(expr: Expr): string {
  if (expr.kind === "ident") return expr.name;
  throw new SyntaxFault(expr.at, "argument must be a simple name");
}

const comprehensions: Readonly<
  Record<string, { macro: Comprehension; counts: readonly number[]; two: boolean; step: boolean } | undefined>
> = {
  all: { macro: "all", counts: [2, 3], two: false, step: false },
  exists: { macro: "exists", counts: [2, 3], two: false, step: false },
  exists_one: { macro: "existsOne", counts: [2, 3], two: false, step: false },
  existsOne: { macro: "existsOne", counts: [2, 3], two: false, step: false },
  filter: { macro: "filter", counts: [2], two: false, step: false },
  map: { macro: "map", counts: [2, 3], two: false, step: true },
  transformList: { macro: "transformList", counts: [3, 4], two: true, step: true },
  transformMap: { macro: "transformMap", counts: [3, 4], two: true, step: true },
  transformMapEntry: { macro: "transformMapEntry", counts: [3, 4], two: true, step: true },
};

/** `a.b.c` as text; undefined when the expression is no such chain. */
export function qualifiedName(expr: Expr): string | undefined {
  if (expr.kind === "ident") return expr.name;
  if (expr.kind !== "select" || expr.test || expr.optional) return undefined;
  const before = qualifiedName(expr.operand);
  return before === undefined ? undefined : `${before}.${expr.field}`;
}

/** The expressions directly inside one. */
export function childrenOf(expr: NewExpr): readonly Expr[] {
  switch (expr.kind) {
    case "literal":
    case "ident":
      return [];
    case "select":
      return [expr.operand];
    case "call":
      return expr.target ? [expr.target, ...expr.args] : expr.args;
    case "list":
      return expr.items.map((item) => item.value);
    case "map":
      return expr.entries.flatMap(({ key, value }) => [key, value]);
    case "struct":
      return expr.fields.map((field) => field.value);
    case "comprehension":
      return [expr.range, ...(expr.condition ? [expr.condition] : []), ...(expr.step ? [expr.step] : [])];
    default:
      return [expr.target, expr.body];
  }
}
