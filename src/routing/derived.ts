/** Which map another one was made of, and the keys that are otherwise. Whoever made it may be gone. */
const origins = new WeakMap<object, { readonly of: WeakRef<object>; readonly keys: readonly unknown[] }>();

/**
 * A map that differs from another in some keys: set, or without them (`undefined`). The same map when none is otherwise. What differs is
 * remembered for `changedKeys`.
 */
export function derive<K, V>(
  before: ReadonlyMap<K, V>,
  changes: Iterable<readonly [key: K, value: V | undefined]>,
): ReadonlyMap<K, V> {
  let after: Map<K, V> | undefined;
  const keys: K[] = [];
  for (const [key, value] of changes) {
    if ((after ?? before).get(key) === value) continue;
    after ??= new Map(before);
    keys.push(key);
    if (value === undefined) after.delete(key);
    else after.set(key, value);
  }
  if (!after) return before;
  origins.set(after, { of: new WeakRef(before), keys });
  return after;
}

/**
 * The keys whose values are not the same object in two maps, and perhaps some that are. It costs what `derive` has changed, where the one was made of the
 * other; else a look at each key.
 */
export function changedKeys<K, V>(before: ReadonlyMap<K, V>, after: ReadonlyMap<K, V>): readonly K[] {
  if (before === after) return [];
  const origin = origins.get(after);
  // A key of another kind than K is in neither map.
  if (origin && origin.of.deref() === before) return origin.keys as readonly K[];
  const keys: K[] = [];
  for (const [key, value] of after) if (before.get(key) !== value) keys.push(key);
  for (const key of before.keys()) if (!after.has(key)) keys.push(key);
  return keys;
}

/**
 * What is made of a map's values, by their keys; those of which nothing is made (`undefined`) are left out. For a map that was derived from one that was asked for, only what
 * differs is made: `make` answers the same for the same value, always.
 */
export function gather<K, V, T>(make: (value: V) => T | undefined): (map: ReadonlyMap<K, V>) => ReadonlyMap<K, T> {
  const known = new WeakMap<ReadonlyMap<K, V>, ReadonlyMap<K, T>>();
  const nothing: ReadonlyMap<K, T> = new Map();
  return (map) => {
    const found = known.get(map);
    if (found) return found;
    const before = origins.get(map)?.of.deref() as ReadonlyMap<K, V> | undefined;
    const base = before && known.get(before);
    const keys = before && base ? changedKeys(before, map) : map.keys();
    const changes: [K, T | undefined][] = [];
    for (const key of keys) {
      const value = map.get(key);
      changes.push([key, value === undefined ? undefined : make(value)]);
    }
    const made = derive(base ?? nothing, changes);
    known.set(map, made);
    return made;
  };
}
