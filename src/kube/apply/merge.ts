import { isObject, setOwn } from "../values/equal.ts";
import { elementOf, formOf, type Atom, type ListAtom, type MapAtom } from "./atom.ts";
import { below, hasBelow, hasElement, isEmpty, type FieldSet } from "./field-set.ts";
import { fieldElement, type PathElement } from "./path-element.ts";

type Fields = Readonly<Record<string, unknown>>;

/**
 * The live value with what a configuration says put into it. Nothing is removed; what both say is as the configuration says.
 * The result may share with both. Both fit the type; throws FieldSetError otherwise.
 */
export function merge(atom: Atom, live: unknown, config: unknown): unknown {
  if (config === undefined) return live;
  if (live === undefined) return config;
  const form = formOf(atom, config);
  if (form === "map" && atom.map && !atom.map.atomic) return mergeMaps(atom.map, live, config);
  if (form === "list" && atom.list && atom.list.relation !== "atomic") return mergeLists(atom.list, live, config);
  return config;
}

const fieldsOrNone = (value: unknown): Fields => (isObject(value) ? value : {});

function mergeMaps(map: MapAtom, live: unknown, config: unknown): unknown {
  const [left, right] = [fieldsOrNone(live), fieldsOrNone(config)];
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  if (keys.size === 0) return config;
  const result: Record<string, unknown> = {};
  for (const key of keys) {
    const [was, is] = [own(left, key), own(right, key)];
    const field = map.of(key);
    const value = field ? merge(field, was, is) : (is ?? was);
    if (value !== undefined) setOwn(result, key, value);
  }
  return result;
}

const own = (fields: Fields, key: string): unknown => (Object.hasOwn(fields, key) ? fields[key] : undefined);

interface Item {
  readonly element: PathElement;
  readonly value: unknown;
}

function mergeLists(list: ListAtom, live: unknown, config: unknown): unknown {
  const left = itemsOf(list, live);
  const right = itemsOf(list, config);
  if (left.length === 0 && right.length === 0) return config;
  const counts = new Map<PathElement, number>();
  for (const { element } of left) counts.set(element, (counts.get(element) ?? 0) + 1);
  // What comes twice in the live list can not be merged with: it gives way.
  const mergeable = new Map(
    left.filter(({ element }) => counts.get(element) === 1).map((item) => [item.element, item.value]),
  );
  const wanted = new Set(right.map(({ element }) => element));
  const merged = ({ element, value }: Item): unknown => merge(list.items(), mergeable.get(element), value);

  // The configuration's order holds for its items; what only the live list has stays between its neighbours.
  const result: unknown[] = [];
  const shared = right.filter(({ element }) => counts.has(element)).map(({ element }) => element);
  let next = 0;
  let [l, r] = [0, 0];
  const done = new Set<PathElement>();
  while (l < left.length || r < right.length) {
    const mine = left[l];
    const theirs = right[r];
    if (mine && theirs) {
      if (mine.element === theirs.element) {
        done.add(mine.element);
        result.push(merged(theirs));
        l += 1;
        r += 1;
        next += 1;
        continue;
      }
      const awaited = shared[next];
      if (wanted.has(mine.element) && awaited !== undefined && awaited !== mine.element) {
        l += 1;
        continue;
      }
    }
    if (mine) {
      if (!wanted.has(mine.element)) {
        result.push(mine.value);
        l += 1;
        continue;
      }
      if (done.has(mine.element)) l += 1;
    }
    if (theirs) {
      done.add(theirs.element);
      result.push(merged(theirs));
      r += 1;
      if (shared[next] === theirs.element) next += 1;
    } else if (mine && !done.has(mine.element)) l += 1;
  }
  return result;
}

function itemsOf(list: ListAtom, value: unknown): Item[] {
  if (!Array.isArray(value)) return [];
  return value.map((item: unknown) => ({ element: elementOf(list, item), value: item }));
}

/**
 * The value without the members of a set. What has nothing left is undefined at the root, left out of a list, and null as a field: it is
 * then still there for who manages the field itself (`withoutEmptied` takes it away).
 */
export function removeItems(atom: Atom, value: unknown, set: FieldSet): unknown {
  if (isEmpty(set)) return value;
  const form = formOf(atom, value);
  if (form === "map" && atom.map && isObject(value))
    return atom.map.atomic ? undefined : removeFields(atom.map, value, set);
  if (form === "list" && atom.list && Array.isArray(value))
    return atom.list.relation === "atomic" ? undefined : removeFromList(atom.list, value as unknown[], set);
  return value;
}

function removeFields(map: MapAtom, value: Fields, set: FieldSet): unknown {
  const result: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const element = fieldElement(key);
    if (hasElement(set, element)) continue;
    const field = map.of(key);
    // A field of which nothing is left stays as null, so that who manages the field itself goes on to.
    const kept =
      field && hasBelow(set, element) ? (removeItems(field, value[key], below(set, element)) ?? null) : value[key];
    setOwn(result, key, kept);
  }
  return Object.keys(result).length > 0 ? result : undefined;
}

function removeFromList(list: ListAtom, value: readonly unknown[], set: FieldSet): unknown {
  const result: unknown[] = [];
  for (const item of value) {
    const element = elementOf(list, item);
    if (hasElement(set, element)) continue;
    const kept = hasBelow(set, element) ? removeItems(list.items(), item, below(set, element)) : item;
    if (kept !== undefined) result.push(kept);
  }
  return result.length > 0 ? result : undefined;
}

/** `after` without the fields that `removeItems` emptied: those that are null and had something in `before`. */
export function withoutEmptied(before: unknown, after: unknown): unknown {
  if (before === after) return after;
  if (Array.isArray(after)) {
    const items = Array.isArray(before) ? (before as unknown[]) : [];
    return after.length === items.length ? after.map((item, i) => withoutEmptied(items[i], item)) : after;
  }
  if (!isObject(after) || !isObject(before)) return after;
  const result: Record<string, unknown> = {};
  for (const key of Object.keys(after)) {
    const was = own(before, key);
    if (after[key] === null && was !== null && was !== undefined) continue;
    setOwn(result, key, withoutEmptied(was, after[key]));
  }
  return result;
}
