import { elementOf, fieldOf, isIn } from "./arithmetic.ts";
import type { Checked, Note } from "./checker.ts";
import { accepts, type Overload } from "./functions.ts";
import type { Expr } from "./syntax/ast.ts";
import {
  equals,
  EvaluationFault,
  fail,
  itemsOf,
  kindOf,
  listValue,
  mapValue,
  none,
  noOverload,
  some,
  textOf,
  typeValue,
  sizeOf,
  type ListValue,
  type MapValue,
  type ObjectValue,
  type OptionalValue,
  type Value,
} from "./values.ts";

/** One run of a program. */
export interface Frame {
  /** Reckoned so far; a run over the limit ends. */
  cost: number;
  readonly limit: number;
  /** The value of a variable; undefined when it has none. */
  readonly variable: (name: string) => Value | undefined;
  /** Variables of comprehensions, by number. */
  readonly locals: Value[];
}

export type Program = (frame: Frame) => Value;

/** Where the variables of comprehensions around a node are; a name that hides another one leaves it its place. */
interface Locals {
  readonly places: ReadonlyMap<string, number>;
  readonly depth: number;
}

const noLocals: Locals = { places: new Map(), depth: 0 };

function inside(locals: Locals, names: readonly string[]): Locals {
  const places = new Map(locals.places);
  names.forEach((name, i) => places.set(name, locals.depth + i));
  return { places, depth: locals.depth + names.length };
}

const listCost = 10;
const mapCost = 30;
const structCost = 40;
const equalityFactor = 0.1;

export const costExceeded = "operation cancelled: actual cost limit exceeded";

function spend(frame: Frame, cost: number): void {
  frame.cost += cost;
  if (frame.cost > frame.limit) throw new EvaluationFault(costExceeded, "CostExceeded");
}

/** Makes a program of a checked expression. Costs are reckoned as upstream's interpreter does. */
export function compile(root: Expr, { notes }: Checked): Program {
  const noteOf = (expr: Expr): Note => notes.get(expr) ?? { type: { kind: "dyn" } };

  const build = (expr: Expr, locals: Locals): Program => {
    switch (expr.kind) {
      case "literal": {
        const { value } = expr;
        return () => value;
      }
      case "ident":
        return name(expr, expr.name, locals);
      case "select":
        return select(expr, locals);
      case "call":
        return call(expr, locals);
      case "list": {
        const items = expr.items.map(({ value, optional }) => ({ run: build(value, locals), optional }));
        return (frame) => {
          const values: Value[] = [];
          for (const { run, optional } of items) {
            const value = run(frame);
            if (!optional) values.push(value);
            else {
              const present = optionalOf(value).value;
              if (present !== undefined) values.push(present);
            }
          }
          spend(frame, listCost);
          return listValue(values);
        };
      }
      case "map": {
        const entries = expr.entries.map(({ key, value, optional }) => ({
          key: build(key, locals),
          value: build(value, locals),
          optional,
        }));
        return (frame) => {
          const pairs: (readonly [Value, Value])[] = [];
          for (const { key, value, optional } of entries) {
            const name = key(frame);
            const found = value(frame);
            const present = optional ? optionalOf(found).value : found;
            if (present !== undefined) pairs.push([name, present]);
          }
          spend(frame, mapCost);
          const map = mapValue(pairs);
          if (map.size < pairs.length) fail("Failed with repeated key");
          return map;
        };
      }
      case "struct": {
        const fields = expr.fields.map(({ name: field, value, optional }) => ({
          field,
          run: build(value, locals),
          optional,
        }));
        return (frame) => {
          const values = new Map<string, Value>();
          for (const { field, run, optional } of fields) {
            const value = run(frame);
            const present = optional ? optionalOf(value).value : value;
            if (present !== undefined) values.set(field, present);
          }
          spend(frame, structCost);
          return {
            kind: "object",
            type: expr.name,
            get: (field) => values.get(field),
            fields: () => [...values.keys()],
          };
        };
      }
      case "comprehension":
        return comprehension(expr, locals);
      default: {
        const target = build(expr.target, locals);
        const slot = locals.depth;
        const body = build(expr.body, inside(locals, [expr.name]));
        const { flat } = expr;
        return (frame) => {
          const { value } = optionalOf(target(frame));
          spend(frame, 2);
          if (value === undefined) return none;
          frame.locals[slot] = value;
          const result = body(frame);
          return flat ? result : some(result);
        };
      }
    }
  };

  const name = (expr: Expr, text: string, locals: Locals): Program => {
    const slot = locals.places.get(text);
    if (slot !== undefined)
      return (frame) => {
        spend(frame, 1);
        return frame.locals[slot] ?? null;
      };
    const { typeName } = noteOf(expr);
    if (typeName !== undefined) {
      const value = typeValue(typeName);
      return (frame) => {
        spend(frame, 1);
        return value;
      };
    }
    return (frame) => {
      spend(frame, 1);
      const value = frame.variable(text);
      return value === undefined ? fail(`no such attribute(s): ${text}`) : value;
    };
  };

  const select = (expr: Expr & { kind: "select" }, locals: Locals): Program => {
    const { variable, typeName, chained } = noteOf(expr);
    if (variable !== undefined || typeName !== undefined) return name(expr, variable ?? typeName ?? "", noLocals);
    const operand = build(expr.operand, locals);
    const { field, test, optional } = expr;
    const { object } = noteOf(expr);
    // A keyword may be written as it is where the type allows that: the value knows it by its own name.
    const own = object?.plainKeywords && !object.fields().has(field) ? `__${field}__` : field;
    if (chained || optional) {
      return (frame) => {
        const found = operand(frame);
        const value = kindOf(found) === "optional" ? (found as OptionalValue).value : found;
        spend(frame, 1);
        const result = value === undefined ? undefined : fieldOf(value, own);
        if (test) return result !== undefined;
        return result === undefined ? none : some(result);
      };
    }
    if (test) return (frame) => fieldOf(unwrap(operand(frame)), own) !== undefined;
    return (frame) => {
      const value = operand(frame);
      spend(frame, 1);
      if (typeof value === "object" && value !== null && "kind" in value && value.kind === "optional") {
        const result = value.value === undefined ? undefined : fieldOf(value.value, own);
        return result === undefined ? none : some(result);
      }
      const found = fieldOf(value, own);
      return found === undefined ? fail(`no such key: ${field}`) : found;
    };
  };

  const call = (expr: Expr & { kind: "call" }, locals: Locals): Program => {
    const { overloads = [], namespaced } = noteOf(expr);
    const args = (expr.target && !namespaced ? [expr.target, ...expr.args] : expr.args).map((arg) =>
      build(arg, locals),
    );
    const [first = nothing, second = nothing, third = nothing] = args;
    switch (expr.name) {
      case "_&&_":
        return logical(first, second, false);
      case "_||_":
        return logical(first, second, true);
      case "_?_:_":
        return (frame) => {
          const condition = first(frame);
          if (condition === true) return second(frame);
          return condition === false ? third(frame) : noOverload();
        };
      case "!_":
        return (frame) => {
          const value = first(frame);
          spend(frame, 1);
          return typeof value === "boolean" ? !value : noOverload();
        };
      case "_==_":
        return equality(first, second, true);
      case "_!=_":
        return equality(first, second, false);
      case "@in":
        return (frame) => {
          const key = first(frame);
          const container = second(frame);
          spend(frame, kindOf(container) === "list" ? sizeOf(container) : 1);
          return isIn(key, container);
        };
      case "_[_]":
      case "_[?_]":
        return element(first, second, expr.name === "_[?_]");
      case "orValue":
      case "or": {
        if (overloads.length !== 1 || !expr.target) break;
        const value = expr.name === "orValue";
        return (frame) => {
          const target = optionalOf(first(frame));
          spend(frame, 1);
          if (target.value === undefined) return second(frame);
          return value ? target.value : target;
        };
      }
    }
    const only = overloads.length === 1 ? overloads[0] : undefined;
    if (only) {
      // Where everything is known at compile time, nothing is asked at run time.
      const certain = (expr.target && !namespaced ? [expr.target, ...expr.args] : expr.args).every((arg, i) =>
        isCertain(noteOf(arg).type.kind, only.params[i]?.kind),
      );
      if (certain) return invoke(only, args);
    }
    return dispatch(overloads, args);
  };

  const comprehension = (expr: Expr & { kind: "comprehension" }, locals: Locals): Program => {
    const range = build(expr.range, locals);
    const slots = expr.variables.map((_, i) => locals.depth + i);
    const inner = inside(locals, expr.variables);
    const condition = expr.condition ? build(expr.condition, inner) : undefined;
    const step = expr.step ? build(expr.step, inner) : undefined;
    const each = loop(slots);
    const test = (frame: Frame): boolean => {
      const value = condition ? condition(frame) : true;
      return typeof value === "boolean" ? value : noOverload();
    };
    switch (expr.macro) {
      case "all":
      case "exists": {
        const stop = expr.macro === "exists";
        const iteration = stop ? 4 : 3;
        return (frame) => {
          const container = range(frame);
          let failure: EvaluationFault | undefined;
          let result = !stop;
          each(frame, container, () => {
            spend(frame, iteration);
            try {
              if (test(frame) === stop) {
                result = stop;
                return false;
              }
            } catch (error) {
              // Like && and ||: a later element may decide.
              failure = absorbable(error);
            }
            return true;
          });
          spend(frame, 1);
          if (result !== stop && failure) throw failure;
          return result;
        };
      }
      case "existsOne":
        return (frame) => {
          let count = 0;
          each(frame, range(frame), () => {
            const met = test(frame);
            spend(frame, met ? 2 : 1);
            if (met) count++;
            return true;
          });
          spend(frame, 2);
          return count === 1;
        };
      case "filter":
        return (frame) => {
          const kept: Value[] = [];
          const valueSlot = slots.at(-1) ?? 0;
          spend(frame, listCost);
          each(frame, range(frame), () => {
            const met = test(frame);
            spend(frame, met ? 13 : 1);
            if (met) kept.push(frame.locals[valueSlot] ?? null);
            return true;
          });
          spend(frame, 1);
          return listValue(kept);
        };
      case "map":
      case "transformList":
        return (frame) => {
          const made: Value[] = [];
          spend(frame, listCost);
          each(frame, range(frame), () => {
            const met = test(frame);
            if (met && step) made.push(step(frame));
            spend(frame, met ? 12 : 1);
            return true;
          });
          spend(frame, 1);
          return listValue(made);
        };
      default: {
        const byEntry = expr.macro === "transformMapEntry";
        const keySlot = slots[0] ?? 0;
        return (frame) => {
          const made: (readonly [Value, Value])[] = [];
          spend(frame, mapCost);
          each(frame, range(frame), () => {
            const met = test(frame);
            spend(frame, met ? 2 : 1);
            if (!met || !step) return true;
            const key = frame.locals[keySlot] ?? null;
            const value = step(frame);
            if (!byEntry) made.push([key, value]);
            else {
              const entry = kindOf(value) === "map" ? (value as MapValue) : noOverload();
              for (const name of entry.keys()) made.push([name, entry.get(name) ?? null]);
            }
            return true;
          });
          spend(frame, 1);
          const map = mapValue(made);
          if (map.size < made.length) fail("insert failed: key already exists");
          return map;
        };
      }
    }
  };

  return build(root, noLocals);
}

const nothing: Program = () => null;

/** A value of a simple type that the checker is sure of needs no look at run time. */
const isCertain = (found: string, wanted: string | undefined): boolean =>
  wanted === "dyn" || wanted === "param" || (found === wanted && wanted !== "null");

function invoke(overload: Overload, args: readonly Program[]): Program {
  return (frame) => {
    const values = args.map((arg) => arg(frame));
    const result = overload.call(values);
    spend(frame, overload.cost.actual(values, result));
    return result;
  };
}

function dispatch(overloads: readonly Overload[], args: readonly Program[]): Program {
  return (frame) => {
    const values = args.map((arg) => arg(frame));
    for (const overload of overloads) {
      if (!overload.params.every((param, i) => accepts(param, values[i] ?? null))) continue;
      const result = overload.call(values);
      spend(frame, overload.cost.actual(values, result));
      return result;
    }
    return noOverload();
  };
}

/** `&&` and `||` do not care for the order: a side that decides wins over a side that fails. */
function logical(left: Program, right: Program, decisive: boolean): Program {
  return (frame) => {
    let failure: EvaluationFault | undefined;
    let first: Value = null;
    try {
      first = left(frame);
      if (first === decisive) return decisive;
    } catch (error) {
      failure = absorbable(error);
    }
    const second = right(frame);
    if (second === decisive) return decisive;
    if (failure) throw failure;
    return first === !decisive && second === !decisive ? !decisive : noOverload();
  };
}

/** Rethrows what is no failure of the expression, and the end of the budget. */
function absorbable(error: unknown): EvaluationFault {
  if (error instanceof EvaluationFault && error.code === "EvaluationFault") return error;
  throw error;
}

function equality(left: Program, right: Program, wanted: boolean): Program {
  return (frame) => {
    const a = left(frame);
    const b = right(frame);
    spend(frame, Math.ceil(Math.min(sizeOf(a), sizeOf(b)) * equalityFactor));
    return equals(a, b) === wanted;
  };
}

function element(operand: Program, key: Program, optional: boolean): Program {
  return (frame) => {
    const found = operand(frame);
    const at = key(frame);
    spend(frame, 1);
    const isOptional = kindOf(found) === "optional";
    const container = isOptional ? (found as OptionalValue).value : found;
    const value = container === undefined ? undefined : elementOf(container, at);
    if (isOptional || optional) return value === undefined ? none : some(value);
    if (value !== undefined) return value;
    return kindOf(found) === "list" ? fail(`index out of bounds: ${textOf(at)}`) : fail(`no such key: ${textOf(at)}`);
  };
}

const optionalOf = (value: Value): OptionalValue =>
  kindOf(value) === "optional" ? (value as OptionalValue) : noOverload();

const unwrap = (value: Value): Value => {
  if (kindOf(value) !== "optional") return value;
  return (value as OptionalValue).value ?? mapValue([]);
};

/** Runs over a list or the keys of a map, until `visit` says false. With two variables the first is the index or the key. */
function loop(slots: readonly number[]) {
  const [first = 0, second] = slots;
  return (frame: Frame, range: Value, visit: () => boolean): void => {
    const container = kindOf(range) === "optional" ? ((range as OptionalValue).value ?? listValue([])) : range;
    const { locals } = frame;
    if (kindOf(container) === "list") {
      let index = 0n;
      for (const item of itemsOf(container as ListValue)) {
        if (second === undefined) locals[first] = item;
        else {
          locals[first] = index++;
          locals[second] = item;
        }
        if (!visit()) return;
      }
      return;
    }
    if (kindOf(container) !== "map" && kindOf(container) !== "object") noOverload();
    const map = container as MapValue | ObjectValue;
    const keys: readonly Value[] = map.kind === "map" ? map.keys() : map.fields();
    for (const key of keys) {
      locals[first] = key;
      if (second !== undefined) locals[second] = (map.kind === "map" ? map.get(key) : map.get(textOf(key))) ?? null;
      if (!visit()) return;
    }
  };
}
