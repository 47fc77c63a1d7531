import { isObject, setOwn } from "../values/equal.ts";
import { goSyntax, goText, goType } from "../values/go-text.ts";
import { elementOf, fieldOf, formOf, keysOf, type Atom, type ListAtom } from "./atom.ts";
import { leaf, nodeOf, emptySet, type FieldSet } from "./field-set.ts";
import { describeElement, fieldElement, FieldSetError, sortElements, type PathElement } from "./path-element.ts";

/** The set of all fields that a value has: what somebody who applies it says that they own. Throws FieldSetError. */
export function fieldsOf(atom: Atom, value: unknown): FieldSet {
  return walk(atom, value) ?? emptySet;
}

function walk(atom: Atom, value: unknown): FieldSet | undefined {
  switch (formOf(atom, value)) {
    case "scalar":
      return leaf;
    case "map": {
      const { map } = atom;
      if (!map) return undefined;
      if (map.atomic) return leaf;
      if (!isObject(value)) return undefined;
      const fields: Record<PathElement, FieldSet> = {};
      for (const key of keysOf(map, value, false)) {
        const field = map.of(key);
        const item = value[key];
        if (!field || item === undefined) continue;
        const found = walk(field, item);
        const itself = item === null || isEmptyObject(item) || !Object.hasOwn(map.fields, key);
        const node = withSelf(found, itself);
        if (node) fields[fieldElement(key)] = node;
      }
      return nodeOf(false, fields);
    }
    default: {
      const { list } = atom;
      if (!list) return undefined;
      if (list.relation === "atomic") return leaf;
      if (!Array.isArray(value)) return undefined;
      return items(list, value as unknown[]);
    }
  }
}

const isEmptyObject = (value: unknown): boolean => isObject(value) && Object.keys(value).length === 0;

function withSelf(node: FieldSet | undefined, member: boolean): FieldSet | undefined {
  if (!member || node === leaf) return node;
  if (!node) return leaf;
  return "." in node ? node : nodeOf(true, node);
}

function items(list: ListAtom, value: readonly unknown[]): FieldSet | undefined {
  const found = new Map<PathElement, FieldSet>();
  for (const item of value) {
    const element = elementOf(list, item);
    // Several items with one key are one value together.
    found.set(element, found.has(element) ? leaf : (withSelf(walk(list.items(), item), true) ?? leaf));
  }
  const result: Record<PathElement, FieldSet> = {};
  for (const element of sortElements([...found.keys()])) result[element] = found.get(element) ?? leaf;
  return nodeOf(false, result);
}

/** One way in which a value does not fit its type. */
interface Misfit {
  readonly path: string;
  readonly message: string;
}

/** Why a value does not have a type, in upstream's words; undefined when it does. `duplicates`: keys may come twice. */
export function misfit(atom: Atom, value: unknown, duplicates = false): string | undefined {
  const found = [...misfits(atom, value, duplicates)].map(({ path, message }) =>
    path ? `${path}: ${message}` : message,
  );
  if (found.length < 2) return found[0];
  return `errors:\n${found.map((text) => `  ${text}`).join("\n")}`;
}

function* misfits(atom: Atom, value: unknown, duplicates: boolean): Generator<Misfit> {
  switch (formOf(atom, value)) {
    case "scalar": {
      const message = atom.scalar && scalarMisfit(atom.scalar, value);
      if (message) yield { path: "", message };
      return;
    }
    case "map": {
      if (value === null || value === undefined || !atom.map) return;
      if (!isObject(value)) {
        yield { path: "", message: `expected map, got ${goPointer(value)}` };
        return;
      }
      for (const key of Object.keys(value)) {
        const field = atom.map.of(key);
        if (!field) {
          yield { path: `.${key}`, message: "field not declared in schema" };
          return;
        }
        yield* within(`.${key}`, misfits(field, value[key], duplicates));
      }
      return;
    }
    case "list": {
      if (value === null || value === undefined || !atom.list) return;
      if (!Array.isArray(value)) {
        yield { path: "", message: `expected list, got ${goPointer(value)}` };
        return;
      }
      yield* listMisfits(atom.list, value as unknown[], duplicates);
    }
  }
}

function* listMisfits(list: ListAtom, value: readonly unknown[], duplicates: boolean): Generator<Misfit> {
  const seen = new Set<PathElement>();
  for (const [i, item] of value.entries()) {
    let element = `i:${i}`;
    if (list.relation !== "atomic") {
      try {
        element = elementOf(list, item);
      } catch (error) {
        if (!(error instanceof FieldSetError)) throw error;
        yield { path: "", message: `element ${i}: ${error.message}` };
        return;
      }
      if (seen.has(element) && !duplicates)
        yield { path: "", message: `duplicate entries for key ${describeElement(element)}` };
      seen.add(element);
    }
    yield* within(describeElement(element), misfits(list.items(), item, duplicates));
  }
}

function* within(prefix: string, found: Iterable<Misfit>): Generator<Misfit> {
  for (const { path, message } of found) yield { path: prefix + path, message };
}

function scalarMisfit(scalar: NonNullable<Atom["scalar"]>, value: unknown): string | undefined {
  if (value === null || value === undefined) return undefined;
  switch (scalar) {
    case "numeric":
      return typeof value === "number" ? undefined : `expected numeric (int or float), got ${goType(value)}`;
    case "string":
      return typeof value === "string"
        ? undefined
        : `expected string, got &value.valueUnstructured{Value:${goSyntax(value)}}`;
    case "boolean":
      return typeof value === "boolean" ? undefined : `expected boolean, got ${goPointer(value)}`;
    default:
      return typeof value === "object" ? `expected any scalar, got ${goPointer(value)}` : undefined;
  }
}

/** A value behind a pointer, as Go prints it. */
const goPointer = (value: unknown): string => `&{${goText(value)}}`;

/** A copy in which every struct is there, if only as `{}`: an object as upstream holds it. */
export function withStructs<T>(atom: Atom, value: T): T;
export function withStructs(atom: Atom, value: unknown): unknown {
  if (Array.isArray(value))
    return atom.list ? value.map((item: unknown) => withStructs(atom.list?.items() ?? atom, item)) : value;
  if (!isObject(value) || !atom.map) return value;
  const result: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const field = atom.map.of(key);
    setOwn(result, key, field ? withStructs(field, value[key]) : value[key]);
  }
  for (const key of atom.map.structs) {
    const field = atom.map.of(key);
    if (field && result[key] === undefined) result[key] = withStructs(field, fieldOf(atom.map, value, key, true));
  }
  return result;
}
