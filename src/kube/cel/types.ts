/** What the checker knows of a value. `max` is the most elements (characters, items, entries) a value can have, for cost estimates. */
export type CelType =
  | { readonly kind: SimpleKind; readonly max?: number }
  | {
      readonly kind: "list";
      readonly element: CelType;
      readonly max?: number;
      /** `x-kubernetes-list-type`: sets and maps are equal in any order, and `+` merges them. */
      readonly listType?: "set" | "map";
      /** Property names as they are in the object. */
      readonly mapKeys?: readonly string[];
    }
  | { readonly kind: "map"; readonly key: CelType; readonly value: CelType; readonly max?: number }
  | ObjectType
  /** Types that only functions know: `kubernetes.URL`, `optional_type`. */
  | { readonly kind: "opaque"; readonly name: string; readonly parameters: readonly CelType[]; readonly max?: number }
  | { readonly kind: "type"; readonly of?: CelType; readonly max?: number }
  | { readonly kind: "param"; readonly name: string; readonly max?: number };

export type SimpleKind =
  | "dyn"
  | "error"
  | "bool"
  | "int"
  | "uint"
  | "double"
  | "string"
  | "bytes"
  | "null"
  | "timestamp"
  | "duration";

export interface ObjectField {
  /** The property in the object: expressions say the escaped name. */
  readonly property: string;
  readonly type: CelType;
}

export interface ObjectType {
  readonly kind: "object";
  readonly name: string;
  /** By the name that expressions use. Computed when first asked for: types may be recursive. */
  fields(): ReadonlyMap<string, ObjectField>;
  /** Names that are CEL's keywords may also be written as they are (`object.metadata.namespace`). */
  readonly plainKeywords?: boolean;
  /** Fields that are not listed are read as dyn. */
  readonly open?: boolean;
  readonly max?: number;
}

const simple = <K extends SimpleKind>(kind: K): { readonly kind: K } => ({ kind });

export const dyn = simple("dyn");
export const errorType = simple("error");
export const bool = simple("bool");
export const int = simple("int");
export const uint = simple("uint");
export const double = simple("double");
export const string = simple("string");
export const bytes = simple("bytes");
export const nullType = simple("null");
export const timestamp = simple("timestamp");
export const duration = simple("duration");
export const listOf = (element: CelType, max?: number): CelType => ({
  kind: "list",
  element,
  ...(max === undefined ? {} : { max }),
});
export const mapOf = (key: CelType, value: CelType, max?: number): CelType => ({
  kind: "map",
  key,
  value,
  ...(max === undefined ? {} : { max }),
});
export const opaque = (name: string, ...parameters: CelType[]): CelType => ({ kind: "opaque", name, parameters });
export const optionalOf = (type: CelType): CelType => opaque("optional_type", type);
export const typeOf = (of?: CelType): CelType => (of ? { kind: "type", of } : { kind: "type" });
export const objectOf = (name: string, fields: Readonly<Record<string, CelType>>): ObjectType => {
  const map = new Map(Object.entries(fields).map(([property, type]) => [property, { property, type }]));
  return { kind: "object", name, fields: () => map };
};

export const isDyn = (type: CelType): boolean => type.kind === "dyn" || type.kind === "error";

/** What is inside an optional; undefined when it is none. */
export const insideOptional = (type: CelType): CelType | undefined =>
  type.kind === "opaque" && type.name === "optional_type" ? (type.parameters[0] ?? dyn) : undefined;

/** The type as messages show it: `list(string)`, `map(string, int)`. */
export function describeType(type: CelType): string {
  switch (type.kind) {
    case "list":
      return `list(${describeType(type.element)})`;
    case "map":
      return `map(${describeType(type.key)}, ${describeType(type.value)})`;
    case "object":
      return type.name;
    case "opaque":
      return type.parameters.length > 0 ? `${type.name}(${type.parameters.map(describeType).join(", ")})` : type.name;
    case "type":
      return type.of ? `type(${describeType(type.of)})` : "type";
    case "param":
      return type.name;
    case "error":
      return "!error!";
    case "timestamp":
      return "timestamp";
    default:
      return type.kind;
  }
}

/** Type parameters and what they stand for. */
export type Substitution = ReadonlyMap<string, CelType>;

/** The substitution under which a value of type `from` can be used where `to` is asked for; undefined when there is none. */
export function assign(substitution: Substitution, to: CelType, from: CelType): Substitution | undefined {
  if (to.kind === "param") {
    const bound = substitution.get(to.name);
    if (!bound) {
      return from.kind === "param" && from.name === to.name ? substitution : new Map(substitution).set(to.name, from);
    }
    const narrow = assign(substitution, bound, from);
    if (narrow) {
      // The wider of the two holds from here on.
      return isDyn(from) && !isDyn(bound) ? new Map(narrow).set(to.name, dyn) : narrow;
    }
    return assign(substitution, from, bound) && new Map(substitution).set(to.name, from);
  }
  if (from.kind === "param") {
    const bound = substitution.get(from.name);
    return bound ? assign(substitution, to, bound) : new Map(substitution).set(from.name, to);
  }
  if (isDyn(to) || isDyn(from)) return substitution;
  if (from.kind === "null")
    return to.kind === "null" || ["object", "opaque", "timestamp", "duration"].includes(to.kind)
      ? substitution
      : undefined;
  if (to.kind !== from.kind) return undefined;
  switch (to.kind) {
    case "list":
      return from.kind === "list" ? assign(substitution, to.element, from.element) : undefined;
    case "map": {
      if (from.kind !== "map") return undefined;
      const keys = assign(substitution, to.key, from.key);
      return keys && assign(keys, to.value, from.value);
    }
    case "object":
      return from.kind === "object" && to.name === from.name ? substitution : undefined;
    case "opaque": {
      if (from.kind !== "opaque" || from.name !== to.name || from.parameters.length !== to.parameters.length)
        return undefined;
      let result: Substitution | undefined = substitution;
      to.parameters.forEach((parameter, i) => {
        result = result && assign(result, parameter, from.parameters[i] ?? dyn);
      });
      return result;
    }
    default:
      return substitution;
  }
}

/** The type with its parameters replaced; what is not bound becomes dyn when `close` is set. */
export function substitute(substitution: Substitution, type: CelType, close: boolean): CelType {
  switch (type.kind) {
    case "param": {
      const bound = substitution.get(type.name);
      if (bound) return substitute(substitution, bound, close);
      return close ? dyn : type;
    }
    case "list":
      return { ...type, element: substitute(substitution, type.element, close) };
    case "map":
      return {
        ...type,
        key: substitute(substitution, type.key, close),
        value: substitute(substitution, type.value, close),
      };
    case "opaque":
      return type.parameters.length > 0
        ? { ...type, parameters: type.parameters.map((one) => substitute(substitution, one, close)) }
        : type;
    case "type":
      return type.of ? { ...type, of: substitute(substitution, type.of, close) } : type;
    default:
      return type;
  }
}

const known: Readonly<Record<string, CelType>> = {
  dyn,
  bool,
  int,
  uint,
  double,
  string,
  bytes,
  null: nullType,
  timestamp,
  duration,
  type: typeOf(),
};

/** Reads the type notation of the libraries' tables: `list(T)`, `map(K, V)`, `optional(T)`, `kubernetes.URL`. Capitals alone are parameters. */
export function parseType(text: string): CelType {
  const open = text.indexOf("(");
  if (open < 0) return known[text] ?? (/^[A-Z]$/.test(text) ? { kind: "param", name: text } : opaque(text));
  const head = text.slice(0, open);
  const [first = dyn, second = dyn] = splitTypes(text.slice(open + 1, -1)).map(parseType);
  if (head === "list") return listOf(first);
  if (head === "map") return mapOf(first, second);
  if (head === "type") return typeOf(first);
  return optionalOf(first);
}

/** Splits at the commas that are not in parentheses. */
export function splitTypes(text: string): string[] {
  const parts: string[] = [];
  let [depth, start] = [0, 0];
  for (let i = 0; i <= text.length; i++) {
    const char = text[i];
    if (char === "(") depth++;
    else if (char === ")") depth--;
    else if (char === undefined || (char === "," && depth === 0)) {
      const part = text.slice(start, i).trim();
      if (part) parts.push(part);
      start = i + 1;
    }
  }
  return parts;
}
