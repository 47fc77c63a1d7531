import { isObject, jsonEqual } from "../values/equal.ts";
import { elementOf, fieldOf, formOf, keysOf, type Atom, type Form, type ListAtom, type MapAtom } from "./atom.ts";
import { emptySet, leaf, nodeOf, type FieldSet } from "./field-set.ts";
import { fieldElement, inOrder, sortElements, type PathElement } from "./path-element.ts";

/** What one object has differently from another: no field is in both sets. */
export interface Comparison {
  /** Fields that are new or have another value. */
  readonly changed: FieldSet;
  readonly removed: FieldSet;
}

interface Found {
  readonly changed: FieldSet | undefined;
  readonly removed: FieldSet | undefined;
}

const same: Found = { changed: undefined, removed: undefined };
const added: Found = { changed: leaf, removed: undefined };
const gone: Found = { changed: undefined, removed: leaf };

type Fields = Readonly<Record<string, unknown>>;

/**
 * Compares two values of one type. `structured`: both are objects as the API holds them, so that structs are there though they are not
 * written. Throws FieldSetError for a list whose items have no keys.
 */
export function compare(atom: Atom, before: unknown, after: unknown, structured: boolean): Comparison {
  function visit(of: Atom, l: unknown, r: unknown): Found {
    const form = formOf(of, r === undefined ? l : r);
    const other = l === undefined || r === undefined ? form : formOf(of, l);
    // A value that became another sort of value: what the old one had goes, what the new one has comes.
    if (other !== form && l !== null && r !== null) return both(inForm(of, other, l, r), inForm(of, form, l, r));
    return inForm(of, form, l, r);
  }

  function inForm(of: Atom, form: Form, l: unknown, r: unknown): Found {
    if (form === "map" && of.map) return map(of.map, l, r);
    if (form === "list" && of.list) return list(of.list, l, r);
    return whole(l, r);
  }

  function map(of: MapAtom, l: unknown, r: unknown): Found {
    const left = isObject(l) ? l : undefined;
    const right = isObject(r) ? r : undefined;
    const keys = keysOfBoth(of, left, right);
    if (of.atomic || keys.length === 0) return whole(l, r);
    const changed: Record<PathElement, FieldSet> = {};
    const removed: Record<PathElement, FieldSet> = {};
    for (const key of keys) {
      const [was, is] = [fieldOf(of, left, key, structured), fieldOf(of, right, key, structured)];
      if (was === is) continue;
      const field = of.of(key);
      if (!field) continue;
      const found = visit(field, was, is);
      if (found.changed) changed[fieldElement(key)] = found.changed;
      if (found.removed) removed[fieldElement(key)] = found.removed;
    }
    return { changed: nodeOf(l === undefined, changed), removed: nodeOf(r === undefined, removed) };
  }

  function keysOfBoth(of: MapAtom, left: Fields | undefined, right: Fields | undefined): string[] {
    if (!left || left === right) return right ? keysOf(of, right, structured) : [];
    const keys = keysOf(of, left, structured);
    if (!right) return keys;
    const before = keys.length;
    for (const key of keysOf(of, right, structured)) {
      if (fieldOf(of, left, key, structured) === undefined) keys.push(key);
    }
    return keys.length > before ? inOrder(keys) : keys;
  }

  function list(of: ListAtom, l: unknown, r: unknown): Found {
    const left = Array.isArray(l) ? (l as unknown[]) : [];
    const right = Array.isArray(r) ? (r as unknown[]) : [];
    if (of.relation === "atomic" || (left.length === 0 && right.length === 0)) return whole(l, r);
    const were = grouped(of, left);
    const are = grouped(of, right);
    const elements = [...were.keys()];
    for (const element of are.keys()) if (!were.has(element)) elements.push(element);
    const changed: Record<PathElement, FieldSet> = {};
    const removed: Record<PathElement, FieldSet> = {};
    for (const element of sortElements(elements)) {
      const found = item(of, were.get(element) ?? [], are.get(element) ?? []);
      if (found.changed) changed[element] = found.changed;
      if (found.removed) removed[element] = found.removed;
    }
    return { changed: nodeOf(l === undefined, changed), removed: nodeOf(r === undefined, removed) };
  }

  /** Items with one key. Where there are several, they are one value together. */
  function item(of: ListAtom, were: readonly unknown[], are: readonly unknown[]): Found {
    if (were.length <= 1 && are.length <= 1) return visit(of.items(), were[0], are[0]);
    if (were.length > 1 && are.length > 1) return jsonEqual(were, are) ? same : added;
    if (were.length > 1) return both(are.length > 0 ? visit(of.items(), undefined, are[0]) : same, gone);
    return both(were.length > 0 ? visit(of.items(), were[0], undefined) : same, added);
  }

  const { changed = emptySet, removed = emptySet } = visit(atom, before, after);
  return { changed, removed };
}

/** Values that are compared as a whole. */
function whole(l: unknown, r: unknown): Found {
  if (l === undefined) return added;
  if (r === undefined) return gone;
  return jsonEqual(l, r) ? same : added;
}

function both(a: Found, b: Found): Found {
  return { changed: together(a.changed, b.changed), removed: together(a.removed, b.removed) };
}

/** Two nodes of one element, of which one is a member alone. */
function together(a: FieldSet | undefined, b: FieldSet | undefined): FieldSet | undefined {
  if (!a || !b) return a ?? b;
  const [children] = [a, b].filter((node) => node !== leaf);
  if (!children) return leaf;
  const { ".": _self, ...rest } = children;
  return nodeOf(true, rest);
}

function grouped(of: ListAtom, items: readonly unknown[]): Map<PathElement, unknown[]> {
  const groups = new Map<PathElement, unknown[]>();
  for (const item of items) {
    const element = elementOf(of, item);
    const group = groups.get(element);
    if (group) group.push(item);
    else groups.set(element, [item]);
  }
  return groups;
}
