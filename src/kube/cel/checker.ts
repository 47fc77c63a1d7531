import { own } from "../values/equal.ts";
import { type Functions, type Overload } from "./functions.ts";
import type { Expr } from "./syntax/ast.ts";
import type { Issue } from "./syntax/errors.ts";
import { qualifiedName } from "./syntax/parser.ts";
import {
  assign,
  bool,
  bytes,
  describeType,
  double,
  duration,
  dyn,
  errorType,
  insideOptional,
  int,
  isDyn,
  listOf,
  mapOf,
  nullType,
  optionalOf,
  string,
  substitute,
  timestamp,
  typeOf,
  uint,
  type CelType,
  type ObjectType,
  type Substitution,
} from "./types.ts";
import { kindOf } from "./values.ts";

export interface Declarations {
  readonly functions: Functions;
  /** Names may have dots. */
  readonly variables: ReadonlyMap<string, CelType>;
  /** Types that can be written as `Name{field: value}`. */
  readonly structs?: (name: string) => ObjectType | undefined;
}

/** What the checker found out about one node. */
export interface Note {
  readonly type: CelType;
  /** The overloads that may be meant; one, when the types say which. */
  readonly overloads?: readonly Overload[];
  /** The node is this variable, also when it is written with dots. */
  readonly variable?: string;
  /** The node is the name of a type. */
  readonly typeName?: string;
  /** The target of the call is part of the function's name. */
  readonly namespaced?: boolean;
  /** The operand is an optional: so is the result. */
  readonly chained?: boolean;
  /** The object type whose field is read. */
  readonly object?: ObjectType;
}

export interface Checked {
  readonly notes: ReadonlyMap<Expr, Note>;
  readonly type: CelType;
  readonly issues: readonly Issue[];
}

const typeNames: Readonly<Record<string, CelType | undefined>> = {
  bool,
  int,
  uint,
  double,
  string,
  bytes,
  list: listOf(dyn),
  map: mapOf(dyn, dyn),
  null_type: nullType,
  type: typeOf(),
  "google.protobuf.Timestamp": timestamp,
  "google.protobuf.Duration": duration,
};

const empty: Substitution = new Map();

/** The field of an object type by the name that an expression uses. */
export function fieldIn(type: ObjectType, name: string): CelType | undefined {
  const fields = type.fields();
  const field = fields.get(name) ?? (type.plainKeywords ? fields.get(`__${name}__`) : undefined);
  return field?.type ?? (type.open ? dyn : undefined);
}

/** Finds the type of every node. What is wrong is told as issues, in the order of the source. */
export function check(root: Expr, { functions, variables, structs }: Declarations): Checked {
  const notes = new Map<Expr, Note>();
  const issues: Issue[] = [];
  let substitution: Substitution = empty;
  let fresh = 0;
  /** Inside the arguments of `format`, items of a list may differ. */
  let mixing = 0;

  type Scope = ReadonlyMap<string, CelType>;
  const noScope: Scope = new Map();

  const report = (at: number, message: string): CelType => {
    issues.push({ at, message });
    return errorType;
  };
  const note = (expr: Expr, found: Note): CelType => {
    notes.set(expr, found);
    return found.type;
  };
  const now = (type: CelType): CelType => substitute(substitution, type, false);
  const fits = (to: CelType, from: CelType): boolean => {
    const next = assign(substitution, to, from);
    if (next) substitution = next;
    return next !== undefined;
  };
  const join = (a: CelType | undefined, b: CelType): CelType => {
    if (!a) return b;
    if (isDyn(a) || isDyn(b)) return dyn;
    if (fits(a, b)) return wider(a, b);
    return fits(b, a) ? b : dyn;
  };

  const visit = (expr: Expr, scope: Scope): CelType => {
    switch (expr.kind) {
      case "literal":
        return note(expr, { type: literalTypes[kindOf(expr.value)] ?? dyn });
      case "ident":
        return ident(expr, expr.name, scope);
      case "select":
        return select(expr, scope);
      case "call":
        return call(expr, scope);
      case "list":
        return list(expr, scope);
      case "map":
        return map(expr, scope);
      case "struct":
        return struct(expr, scope);
      case "comprehension":
        return comprehension(expr, scope);
      default: {
        const target = now(visit(expr.target, scope));
        const inside = isDyn(target) ? dyn : insideOptional(target);
        if (!inside) {
          visit(expr.body, new Map(scope).set(expr.name, errorType));
          return note(expr, { type: noMatch(expr.at, expr.flat ? "optFlatMap" : "optMap", true, [target, dyn, dyn]) });
        }
        const body = now(visit(expr.body, new Map(scope).set(expr.name, inside)));
        return note(expr, { type: expr.flat ? body : optionalOf(body) });
      }
    }
  };

  const ident = (expr: Expr, name: string, scope: Scope): CelType => {
    const local = scope.get(name);
    if (local) return note(expr, { type: local });
    const type = variables.get(name);
    if (type) return note(expr, { type, variable: name });
    const named = own(typeNames, name) ?? opaqueTypes.get(name);
    if (named) return note(expr, { type: typeOf(named), typeName: name });
    return note(expr, { type: report(expr.at, `undeclared reference to '${name}' (in container '')`) });
  };

  /** `a.b.c` may be one name: of a variable or of a type. */
  const wholeName = (expr: Expr, scope: Scope): CelType | undefined => {
    const name = qualifiedName(expr);
    if (name === undefined || scope.has(name.slice(0, name.indexOf(".")))) return undefined;
    const type = variables.get(name);
    if (type) return note(expr, { type, variable: name });
    if (variables.has(name.slice(0, name.indexOf(".")))) return undefined;
    const named = own(typeNames, name) ?? opaqueTypes.get(name);
    return named && note(expr, { type: typeOf(named), typeName: name });
  };

  const select = (expr: Expr & { kind: "select" }, scope: Scope): CelType => {
    const whole = wholeName(expr, scope);
    if (whole && !expr.test) return whole;
    const found = now(visit(expr.operand, scope));
    const inside = insideOptional(found);
    const { type, object } = fieldType(expr, inside ?? found);
    const result = expr.test ? bool : expr.optional || inside ? optional(type) : type;
    return note(expr, { type: result, ...(inside ? { chained: true } : {}), ...(object ? { object } : {}) });
  };
  const optional = (type: CelType): CelType => (insideOptional(type) ? type : optionalOf(type));

  const fieldType = (expr: Expr & { kind: "select" }, operand: CelType): { type: CelType; object?: ObjectType } => {
    if (isDyn(operand) || operand.kind === "param") return { type: dyn };
    if (operand.kind === "map") return { type: operand.value };
    if (operand.kind === "object") {
      const type = fieldIn(operand, expr.field);
      return { type: type ?? report(expr.at, `undefined field '${expr.field}'`), object: operand };
    }
    return { type: report(expr.at, `type '${describeType(operand)}' does not support field selection`) };
  };

  const call = (expr: Expr & { kind: "call" }, scope: Scope): CelType => {
    if (expr.target) {
      const prefix = qualifiedName(expr.target);
      const name = prefix === undefined ? undefined : `${prefix}.${expr.name}`;
      const known = name === undefined || scope.has(prefix ?? "") ? undefined : functions.get(name);
      if (name !== undefined && known) {
        const args = expr.args.map((arg) => now(visit(arg, scope)));
        return resolve(expr, name, false, args, known, true);
      }
      if (expr.name === "format") mixing++;
      const args = [expr.target, ...expr.args].map((arg) => now(visit(arg, scope)));
      if (expr.name === "format") mixing--;
      return resolve(expr, expr.name, true, args, functions.get(expr.name));
    }
    const args = expr.args.map((arg) => now(visit(arg, scope)));
    if (expr.name === "_[_]" || expr.name === "_[?_]") return index(expr, args);
    return resolve(expr, expr.name, false, args, functions.get(expr.name));
  };

  const index = (expr: Expr & { kind: "call" }, [operand = dyn, key = dyn]: CelType[]): CelType => {
    const inside = insideOptional(operand);
    const container = inside ?? operand;
    let element: CelType | undefined;
    if (isDyn(container)) element = dyn;
    else if (container.kind === "list" && (key.kind === "int" || isDyn(key))) element = container.element;
    else if (container.kind === "map" && fits(container.key, key)) element = container.value;
    if (!element) return note(expr, { type: noMatch(expr.at, expr.name, false, [operand, key]) });
    const type = now(element);
    const chained = inside !== undefined;
    return note(expr, {
      type: chained || expr.name === "_[?_]" ? optional(type) : type,
      ...(chained ? { chained } : {}),
    });
  };

  const noMatch = (at: number, name: string, member: boolean, args: readonly CelType[]): CelType => {
    if (args.some((arg) => arg.kind === "error")) return errorType;
    const shown = args.map(describeType);
    const applied = member ? `${shown[0]}.(${shown.slice(1).join(", ")})` : `(${shown.join(", ")})`;
    return report(at, `found no matching overload for '${name}' applied to '${applied}'`);
  };

  const resolve = (
    expr: Expr,
    name: string,
    member: boolean,
    args: readonly CelType[],
    candidates: readonly Overload[] | undefined,
    namespaced = false,
  ): CelType => {
    if (!candidates)
      return note(expr, { type: report(expr.at, `undeclared reference to '${name}' (in container '')`) });
    const matching: Overload[] = [];
    let result: CelType | undefined;
    let chosen: Substitution | undefined;
    for (const overload of candidates) {
      if (overload.member !== member || overload.params.length !== args.length) continue;
      const suffix = `#${fresh++}`;
      let trial: Substitution | undefined = substitution;
      overload.params.forEach((param, i) => {
        trial = trial && assign(trial, renamed(param, suffix), args[i] ?? dyn);
      });
      if (!trial) continue;
      matching.push(overload);
      const type = substitute(trial, renamed(overload.result, suffix), false);
      if (!result) {
        chosen = trial;
        result = type;
      } else if (describeType(result) !== describeType(type)) result = dyn;
    }
    if (!result || !chosen) return note(expr, { type: noMatch(expr.at, name, member, args) });
    if (matching.length === 1) substitution = chosen;
    return note(expr, { type: result, overloads: matching, ...(namespaced ? { namespaced } : {}) });
  };

  /** Items of one literal have one type, so that a mistake is seen at once. */
  const uniform = (at: number, before: CelType | undefined, type: CelType): CelType => {
    if (!before || mixing > 0 || isDyn(type) || isDyn(before)) return join(before, type);
    if (fits(before, type)) return wider(before, type);
    report(at, `expected type '${describeType(now(before))}' but found '${describeType(now(type))}'`);
    return dyn;
  };
  const unwrapped = (type: CelType, isOptional: boolean, at: number): CelType => {
    if (!isOptional) return type;
    if (isDyn(type)) return dyn;
    return insideOptional(type) ?? report(at, `expected type 'optional_type' but found '${describeType(type)}'`);
  };

  const list = (expr: Expr & { kind: "list" }, scope: Scope): CelType => {
    let element: CelType | undefined;
    for (const { value, optional: isOptional } of expr.items)
      element = uniform(value.at, element, unwrapped(now(visit(value, scope)), isOptional, value.at));
    return note(expr, { type: listOf(element ?? { kind: "param", name: `#e${fresh++}` }, expr.items.length) });
  };

  const map = (expr: Expr & { kind: "map" }, scope: Scope): CelType => {
    let [keys, values]: [CelType | undefined, CelType | undefined] = [undefined, undefined];
    for (const { key, value, optional: isOptional } of expr.entries) {
      keys = uniform(key.at, keys, now(visit(key, scope)));
      values = uniform(value.at, values, unwrapped(now(visit(value, scope)), isOptional, value.at));
    }
    const unknown = (): CelType => ({ kind: "param", name: `#e${fresh++}` });
    return note(expr, { type: mapOf(keys ?? unknown(), values ?? unknown(), expr.entries.length) });
  };

  const struct = (expr: Expr & { kind: "struct" }, scope: Scope): CelType => {
    const type = structs?.(expr.name);
    for (const field of expr.fields) {
      const found = unwrapped(now(visit(field.value, scope)), field.optional, field.value.at);
      if (!type) continue;
      const wanted = fieldIn(type, field.name);
      if (!wanted) report(field.at, `undefined field '${field.name}'`);
      else if (!fits(wanted, found))
        report(
          field.at,
          `expected type of field '${field.name}' is '${describeType(wanted)}' but provided type is '${describeType(found)}'`,
        );
    }
    return note(expr, {
      type: type ?? report(expr.at, `undeclared reference to '${expr.name}' (in container '')`),
      ...(type ? { object: type } : {}),
    });
  };

  const comprehension = (expr: Expr & { kind: "comprehension" }, scope: Scope): CelType => {
    const found = now(visit(expr.range, scope));
    const container = insideOptional(found) ?? found;
    let [key, value]: [CelType, CelType] = [dyn, dyn];
    if (container.kind === "list") [key, value] = [int, container.element];
    else if (container.kind === "map") [key, value] = [container.key, container.value];
    else if (!isDyn(container) && container.kind !== "param")
      report(
        expr.range.at,
        `expression of type '${describeType(container)}' cannot be range of a comprehension (must be list, map, or dynamic)`,
      );
    const inner = new Map(scope);
    const [first = "", second] = expr.variables;
    if (second === undefined) inner.set(first, container.kind === "map" ? key : value);
    else inner.set(first, key).set(second, value);
    if (expr.condition) {
      const condition = now(visit(expr.condition, inner));
      if (!fits(bool, condition))
        if (expr.macro === "all" || expr.macro === "exists")
          noMatch(expr.condition.at, expr.macro === "all" ? "_&&_" : "_||_", false, [bool, condition]);
        else noMatch(expr.condition.at, "_?_:_", false, [condition, dyn, dyn]);
    }
    const step = expr.step ? now(visit(expr.step, inner)) : dyn;
    const max = container.max;
    switch (expr.macro) {
      case "filter":
        return note(expr, { type: listOf(second === undefined ? (inner.get(first) ?? dyn) : value, max) });
      case "map":
      case "transformList":
        return note(expr, { type: listOf(step, max) });
      case "transformMap":
        return note(expr, { type: mapOf(key, step, max) });
      case "transformMapEntry":
        if (step.kind !== "map" && !isDyn(step))
          report(expr.step?.at ?? expr.at, `expected type 'map' but found '${describeType(step)}'`);
        return note(expr, { type: step.kind === "map" ? mapOf(step.key, step.value) : mapOf(dyn, dyn) });
      default:
        return note(expr, { type: bool });
    }
  };

  const opaqueTypes = opaqueTypesOf(functions);
  const type = visit(root, noScope);
  const closed = new Map<Expr, Note>();
  for (const [expr, found] of notes) closed.set(expr, { ...found, type: substitute(substitution, found.type, true) });
  return {
    notes: closed,
    type: substitute(substitution, type, true),
    issues: issues.sort((a, b) => a.at - b.at),
  };
}

const literalTypes: Readonly<Partial<Record<string, CelType>>> = {
  null: nullType,
  bool,
  int,
  uint,
  double,
  string,
  bytes,
};

/** Of two types that fit each other, the one that may be larger. */
function wider(a: CelType, b: CelType): CelType {
  if (a.max === b.max) return a;
  const { max: _, ...rest } = a;
  return a.max === undefined || b.max === undefined ? rest : { ...a, max: Math.max(a.max, b.max) };
}

const cache = new WeakMap<Functions, ReadonlyMap<string, CelType>>();

/** The types that only functions know, by the name that `type(x)` has. */
function opaqueTypesOf(functions: Functions): ReadonlyMap<string, CelType> {
  const known = cache.get(functions);
  if (known) return known;
  const types = new Map<string, CelType>();
  for (const overloads of functions.values())
    for (const { params, result } of overloads)
      for (const type of [...params, result]) if (type.kind === "opaque") types.set(type.name, type);
  cache.set(functions, types);
  return types;
}

/** The type with its parameters told apart from those of another call. */
function renamed(type: CelType, suffix: string): CelType {
  switch (type.kind) {
    case "param":
      return { ...type, name: type.name + suffix };
    case "list":
      return { ...type, element: renamed(type.element, suffix) };
    case "map":
      return { ...type, key: renamed(type.key, suffix), value: renamed(type.value, suffix) };
    case "opaque":
      return type.parameters.length > 0
        ? { ...type, parameters: type.parameters.map((one) => renamed(one, suffix)) }
        : type;
    case "type":
      return type.of ? { ...type, of: renamed(type.of, suffix) } : type;
    default:
      return type;
  }
}
