import type { Checked } from "./checker.ts";
import {
  addRanges,
  anySize,
  multiplyRanges,
  nominal,
  range,
  uniteRanges,
  type CostModel,
  type Range,
  type Sized,
} from "./cost.ts";
import type { Expr } from "./syntax/ast.ts";
import type { CelType } from "./types.ts";
import { sizeOf } from "./values.ts";

interface Estimated {
  readonly cost: Range;
  readonly sized: Sized;
}

type Scope = ReadonlyMap<string, Sized>;

/** What running a checked expression costs at least and at most, given how large its schemas let values be. */
export function estimate(root: Expr, { notes }: Checked): Range {
  const typeOf = (expr: Expr): CelType => notes.get(expr)?.type ?? { kind: "dyn" };
  const plain = (cost: Range, expr: Expr): Estimated => ({ cost, sized: sizedOf(typeOf(expr)) });
  const sum = (parts: readonly Estimated[]): Range =>
    parts.reduce((total, part) => addRanges(total, part.cost), range(0));

  const visit = (expr: Expr, scope: Scope): Estimated => {
    switch (expr.kind) {
      case "literal":
        return { cost: range(0), sized: { size: range(sizeOf(expr.value)) } };
      case "ident":
        return { cost: range(1), sized: scope.get(expr.name) ?? sizedOf(typeOf(expr)) };
      case "select": {
        if (notes.get(expr)?.variable !== undefined) return plain(range(1), expr);
        const operand = visit(expr.operand, scope);
        return plain(expr.test ? operand.cost : addRanges(operand.cost, range(1)), expr);
      }
      case "list": {
        const items = expr.items.map(({ value }) => visit(value, scope));
        const sizes = items.map(({ sized }) => sized.size);
        return {
          cost: addRanges(sum(items), range(10)),
          sized: {
            size: range(items.length),
            ...(sizes.length > 0 ? { items: sizes.reduce(uniteRanges) } : { items: range(0) }),
          },
        };
      }
      case "map": {
        const parts = expr.entries.flatMap(({ key, value }) => [visit(key, scope), visit(value, scope)]);
        return { cost: addRanges(sum(parts), range(30)), sized: { size: range(expr.entries.length) } };
      }
      case "struct":
        return plain(addRanges(sum(expr.fields.map(({ value }) => visit(value, scope))), range(40)), expr);
      case "comprehension":
        return comprehension(expr, scope);
      case "call":
        return call(expr, scope);
      default: {
        const target = visit(expr.target, scope);
        const body = visit(expr.body, new Map(scope).set(expr.name, { size: anySize }));
        return plain(addRanges(target.cost, { min: 2, max: body.cost.max + 2 }), expr);
      }
    }
  };

  const call = (expr: Expr & { kind: "call" }, scope: Scope): Estimated => {
    const { overloads = [], namespaced } = notes.get(expr) ?? {};
    const parts = (expr.target && !namespaced ? [expr.target, ...expr.args] : expr.args).map((arg) =>
      visit(arg, scope),
    );
    const [first, second, third] = parts;
    const before = sum(parts);
    switch (expr.name) {
      case "_&&_":
      case "_||_":
        return plain({ min: first?.cost.min ?? 0, max: before.max }, expr);
      case "_?_:_":
        if (first && second && third)
          return {
            cost: addRanges(first.cost, uniteRanges(second.cost, third.cost)),
            sized: {
              size: uniteRanges(second.sized.size, third.sized.size),
              items: uniteRanges(second.sized.items ?? anySize, third.sized.items ?? anySize),
            },
          };
        break;
      case "_[_]":
      case "_[?_]":
        return plain(addRanges(before, range(1)), expr);
    }
    const models: readonly CostModel[] = overloads.length > 0 ? overloads.map(({ cost }) => cost) : [nominal];
    const sizes = parts.map(({ sized }) => sized);
    const estimates = models.map((model) => model.estimate(sizes));
    const cost = estimates.map((one) => one.cost).reduce(uniteRanges);
    const results = estimates.map((one) => one.result ?? sizedOf(typeOf(expr)).size);
    return {
      cost: addRanges(before, cost),
      sized: { ...sizedOf(typeOf(expr)), size: results.reduce(uniteRanges) },
    };
  };

  const comprehension = (expr: Expr & { kind: "comprehension" }, scope: Scope): Estimated => {
    const container = visit(expr.range, scope);
    const type = typeOf(expr.range);
    const inner = new Map(scope);
    const element: Sized =
      type.kind === "list"
        ? {
            ...sizedOf(type.element),
            size:
              sizedOf(type.element).size === anySize ? (container.sized.items ?? anySize) : sizedOf(type.element).size,
          }
        : type.kind === "map"
          ? sizedOf(type.value)
          : { size: anySize };
    const key: Sized = type.kind === "map" ? sizedOf(type.key) : { size: range(1) };
    const [first = "", second] = expr.variables;
    if (second === undefined) inner.set(first, type.kind === "map" ? key : element);
    else inner.set(first, key).set(second, element);
    const condition = expr.condition ? visit(expr.condition, inner).cost : range(0);
    const step = expr.step ? visit(expr.step, inner) : undefined;
    const { start, each, end } = overhead[expr.macro];
    const once = addRanges(
      addRanges(condition, step ? { min: expr.condition ? 0 : step.cost.min, max: step.cost.max } : range(0)),
      each,
    );
    const times = container.sized.size;
    const cost = addRanges(addRanges(container.cost, range(start + end)), multiplyRanges(times, once));
    const size = { min: expr.condition ? 0 : times.min, max: times.max };
    return { cost, sized: { size, items: step?.sized.size ?? element.size } };
  };

  return visit(root, new Map()).cost;
}

/** What the loops of the macros cost beside their condition and step. */
const overhead = {
  all: { start: 0, each: range(3), end: 1 },
  exists: { start: 0, each: range(4), end: 1 },
  existsOne: { start: 0, each: range(1, 2), end: 2 },
  filter: { start: 10, each: range(1, 13), end: 1 },
  map: { start: 10, each: range(12), end: 1 },
  transformList: { start: 10, each: range(1, 12), end: 1 },
  transformMap: { start: 30, each: range(1, 2), end: 1 },
  transformMapEntry: { start: 30, each: range(1, 2), end: 1 },
} as const;

/** How large a value of a type can be. */
function sizedOf(type: CelType): Sized {
  switch (type.kind) {
    case "string":
    case "bytes":
    case "dyn":
    case "error":
    case "param":
      return { size: upTo(type.max) };
    case "list":
      return { size: upTo(type.max), items: sizedOf(type.element).size };
    case "map":
      return { size: upTo(type.max) };
    default:
      return { size: range(1) };
  }
}

const upTo = (max: number | undefined): Range => (max === undefined ? anySize : { min: 0, max });
