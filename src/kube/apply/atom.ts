import type { Definition } from "../definition.ts";
import { keyDefaults, structFields } from "../generated/presence.ts";
import { resolve } from "../schema.ts";
import { isObject } from "../values/equal.ts";
import { FieldSetError, inOrder, keyElement, valueElement, type PathElement } from "./path-element.ts";

/**
 * How values of one type are put together: as upstream's structured merge makes it of OpenAPI. A type may allow several forms;
 * which one holds is seen by the value.
 */
export interface Atom {
  readonly scalar?: "numeric" | "string" | "boolean" | "untyped";
  readonly list?: ListAtom;
  readonly map?: MapAtom;
}

export interface MapAtom {
  /** One manager owns all of it. */
  readonly atomic: boolean;
  /** Free-form below: changes of the type's structure do not concern it. */
  readonly deduced: boolean;
  /** The fields of a struct; none for a map. */
  readonly fields: Readonly<Record<string, Definition>>;
  /** Fields that an object of the type always has, if only as `{}` (Go's structs that are no pointers). */
  readonly structs: readonly string[];
  /** The type of a field or a value; undefined for a field that the type does not have. */
  of(key: string): Atom | undefined;
}

export interface ListAtom {
  readonly relation: "atomic" | "set" | "map";
  /** Keys of a map's items, in order of name. */
  readonly keys: readonly string[];
  items(): Atom;
  /** What a key is that an item does not have; undefined when it then is no key of that item. */
  defaultOf(key: string): unknown;
}

const untyped: Atom = {
  scalar: "untyped",
  list: { relation: "atomic", keys: [], items: () => untyped, defaultOf: () => undefined },
  map: { atomic: true, deduced: false, fields: {}, structs: [], of: () => untyped },
};

/** The type of what has no schema: maps are merged by field, lists belong to one manager. */
export const deduced: Atom = {
  scalar: "untyped",
  list: { relation: "atomic", keys: [], items: () => untyped, defaultOf: () => undefined },
  map: { atomic: false, deduced: true, fields: {}, structs: [], of: () => deduced },
};

/** Compiled once a definition; apart for those under a type that keeps unknown fields. */
const compiled = new WeakMap<Definition, Atom>();
const compiledKeeping = new WeakMap<Definition, Atom>();

/** The type that a definition means. */
export function atomOf(definition: Definition, keepsUnknown = false): Atom {
  const cache = keepsUnknown ? compiledKeeping : compiled;
  let atom = cache.get(definition);
  if (!atom) {
    atom = compile(definition, keepsUnknown);
    cache.set(definition, atom);
  }
  return atom;
}

const quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const rawExtension = "io.k8s.apimachinery.pkg.runtime.RawExtension";
const objectMeta: Definition = { $ref: "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" };
const text: Definition = { type: "string" };
/** What every object has, whether its schema says so or not. */
const header: Readonly<Record<string, Definition>> = { apiVersion: text, kind: text, metadata: objectMeta };

/** The type of whole objects of a kind; without a definition, a deduced one. */
export function objectAtom(definition: Definition | undefined): Atom {
  if (!definition) return deduced;
  return atomOf(withHeader(definition));
}

const headed = new WeakMap<Definition, Definition>();

function withHeader(definition: Definition): Definition {
  if (definition.properties?.["metadata"]?.$ref !== undefined) return definition;
  let whole = headed.get(definition);
  if (!whole) {
    whole = { ...definition, properties: { ...definition.properties, ...header } };
    headed.set(definition, whole);
  }
  return whole;
}

function compile(definition: Definition, keepsUnknown: boolean): Atom {
  const { name, definition: target } = resolve(definition);
  if (name === quantity) return { scalar: "untyped" };
  if (name === rawExtension) return untyped;
  // A reference may say in its own place how the map that it refers to is put together.
  const override = definition === target ? undefined : definition["x-kubernetes-map-type"];
  if (override !== undefined) {
    const atom = atomOf(target, keepsUnknown);
    return atom.map ? { ...atom, map: { ...atom.map, atomic: override === "atomic" } } : atom;
  }
  if (definition !== target) return atomOf(target, keepsUnknown);
  const whole = target["x-kubernetes-embedded-resource"] === true ? withHeader(target) : target;
  const keeps = keepsUnknown || target["x-kubernetes-preserve-unknown-fields"] === true;
  switch (target.type) {
    case undefined:
      return { scalar: "untyped", list: listOf(whole, keeps), map: mapOf(whole, name, keeps) };
    case "object":
      return { map: mapOf(whole, name, keeps) };
    case "array":
      return { list: listOf(whole, keeps) };
    case "integer":
    case "number":
      return { scalar: "numeric" };
    case "boolean":
      return { scalar: "boolean" };
    default:
      return { scalar: target.format === undefined || target.format === "byte" ? "string" : "untyped" };
  }
}

const nothing: readonly string[] = [];

function mapOf(definition: Definition, name: string | undefined, keeps: boolean): MapAtom {
  const fields = definition.properties ?? {};
  const values = definition.additionalProperties as Definition | boolean | undefined;
  const named = Object.keys(fields).length > 0;
  const free = values === true || (values === undefined && (keeps || !named));
  const others = (): Atom | undefined => {
    if (free) return deduced;
    return isObject(values) ? atomOf(values, keeps) : undefined;
  };
  return {
    atomic: definition["x-kubernetes-map-type"] === "atomic",
    deduced: free && !named,
    fields,
    structs: ((name !== undefined && structFields[name]) || nothing).filter((field) => Object.hasOwn(fields, field)),
    of(key) {
      const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
      return field ? atomOf(field, keeps) : others();
    },
  };
}

function listOf(definition: Definition, keeps: boolean): ListAtom {
  const { items } = definition;
  const { relation, keys } = relationOf(definition);
  const item = items && resolve(items);
  const defaults = (item?.name !== undefined && keyDefaults[item.name]) || {};
  return {
    relation,
    keys: [...keys].sort(),
    items: () => (items ? atomOf(items, keeps) : untyped),
    defaultOf: (key) => defaults[key] ?? item?.definition.properties?.[key]?.default,
  };
}

/** Built-in types that do not say how a list is put together say how it is patched. */
function relationOf(definition: Definition): { relation: ListAtom["relation"]; keys: readonly string[] } {
  const type = definition["x-kubernetes-list-type"];
  if (type === "map") return { relation: "map", keys: definition["x-kubernetes-list-map-keys"] ?? [] };
  if (type !== undefined) return { relation: type, keys: [] };
  const strategies = (definition["x-kubernetes-patch-strategy"] ?? "").split(",");
  if (!strategies.includes("merge")) return { relation: "atomic", keys: [] };
  const key = definition["x-kubernetes-patch-merge-key"];
  return key === undefined ? { relation: "set", keys: [] } : { relation: "map", keys: [key] };
}

export type Form = "map" | "scalar" | "list";

/** The form in which a value has this type. A value that fits none has the first that the type allows. */
export function formOf(atom: Atom, value: unknown): Form {
  if (Array.isArray(value)) {
    if (atom.list) return "list";
  } else if (typeof value === "object") {
    if (value !== null && atom.map) return "map";
  } else if (value !== undefined && atom.scalar) return "scalar";
  return atom.map ? "map" : atom.scalar ? "scalar" : "list";
}

/** The element of an item of a list that is a set or a map. Throws FieldSetError when the item has none. */
export function elementOf(list: ListAtom, item: unknown): PathElement {
  if (list.relation === "set") return valueElement(scalarOf(item));
  if (item === null || item === undefined)
    throw new FieldSetError("associative list with keys may not have a null element");
  if (!isObject(item)) throw new FieldSetError("associative list with keys may not have non-map elements");
  const fields: [string, unknown][] = [];
  for (const key of list.keys) {
    const value = Object.hasOwn(item, key) ? item[key] : list.defaultOf(key);
    if (value !== undefined) fields.push([key, value]);
  }
  if (fields.length === 0 && list.keys.length > 0) {
    const keys = `[${list.keys.map((key) => JSON.stringify(key)).join(" ")}]`;
    throw new FieldSetError(
      `associative list with keys has an element that omits all key fields ${keys} ` +
        "(and doesn't have default values for any key fields)",
    );
  }
  return keyElement(fields);
}

function scalarOf(item: unknown): unknown {
  if (item === null || item === undefined)
    throw new FieldSetError("associative list without keys has an element that's an explicit null");
  if (Array.isArray(item)) throw new FieldSetError("not supported: associative list with lists as elements");
  if (typeof item === "object")
    throw new FieldSetError("associative list without keys has an element that's a map type");
  return item;
}

/** The keys of a map in order, with the structs that it has though they are not written, where `structured`. */
export function keysOf(map: MapAtom, value: Readonly<Record<string, unknown>>, structured: boolean): string[] {
  const keys = Object.keys(value);
  if (structured) for (const key of map.structs) if (value[key] === undefined) keys.push(key);
  return inOrder(keys);
}

const emptyStruct: Readonly<Record<string, unknown>> = Object.freeze({});

/** A field of a map; a struct that is not written is `{}` where `structured`. */
export function fieldOf(
  map: MapAtom,
  value: Readonly<Record<string, unknown>> | undefined,
  key: string,
  structured: boolean,
): unknown {
  if (!value) return undefined;
  const field = Object.hasOwn(value, key) ? value[key] : undefined;
  return field === undefined && structured && map.structs.includes(key) ? emptyStruct : field;
}
