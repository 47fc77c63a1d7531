import { keyOf, type KubeObject, type ObjectName } from "../kube/index.ts";
import type { Change } from "./informer.ts";

type IndexFunction<T> = (object: T) => readonly string[];

/** The objects of one kind in memory, with indexes. Each method returns what it changed. */
export interface Cache<T extends KubeObject> {
  get(name: ObjectName): T | undefined;
  list(namespace?: string): readonly T[];
  by(index: string, value: string): readonly T[];
  addIndex(name: string, index: IndexFunction<T>): void;
  set(object: T): readonly Change<T>[];
  delete(object: T): readonly Change<T>[];
  /** Makes the cache hold exactly `objects`. */
  replace(objects: Iterable<T>): readonly Change<T>[];
}

const namespaceIndex = "\0namespace";

export function createCache<T extends KubeObject>(indexes: Readonly<Record<string, IndexFunction<T>>> = {}): Cache<T> {
  const objects = new Map<string, T>();
  const functions = new Map<string, IndexFunction<T>>();
  /** Index name, value, key. */
  const rows = new Map<string, Map<string, Map<string, T>>>();

  const indexIn = (name: string, index: IndexFunction<T>, key: string, before: T | undefined, after: T | undefined) => {
    const byValue = rows.get(name);
    if (!byValue) return;
    for (const value of before ? index(before) : []) {
      const at = byValue.get(value);
      at?.delete(key);
      if (at?.size === 0) byValue.delete(value);
    }
    for (const value of after ? index(after) : []) {
      let at = byValue.get(value);
      if (!at) byValue.set(value, (at = new Map()));
      at.set(key, after as T);
    }
  };

  const put = (key: string, before: T | undefined, after: T | undefined): void => {
    if (after) objects.set(key, after);
    else objects.delete(key);
    for (const [name, index] of functions) indexIn(name, index, key, before, after);
  };

  const addIndex = (name: string, index: IndexFunction<T>): void => {
    if (functions.has(name)) return;
    functions.set(name, index);
    rows.set(name, new Map());
    for (const [key, object] of objects) indexIn(name, index, key, undefined, object);
  };

  const by = (index: string, value: string): readonly T[] => {
    const byValue = rows.get(index);
    if (!byValue) throw new Error(`there is no index "${index}"`);
    return [...(byValue.get(value)?.values() ?? [])];
  };

  const set = (after: T): readonly Change<T>[] => {
    const key = keyOf(after);
    const before = objects.get(key);
    if (!before) {
      put(key, undefined, after);
      return [{ after }];
    }
    if (before.metadata.uid === after.metadata.uid) {
      if (before.metadata.resourceVersion === after.metadata.resourceVersion) return [];
      put(key, before, after);
      return [{ before, after }];
    }
    // The same name, another object: the deletion in between was not seen.
    put(key, before, after);
    return [{ before }, { after }];
  };

  addIndex(namespaceIndex, (object) => [object.metadata.namespace ?? ""]);
  for (const [name, index] of Object.entries(indexes)) addIndex(name, index);

  return {
    get: (name) => objects.get(keyOf({ metadata: name })),
    list: (namespace) => (namespace === undefined ? [...objects.values()] : by(namespaceIndex, namespace)),
    by,
    addIndex,
    set,
    delete(object) {
      const key = keyOf(object);
      const before = objects.get(key);
      if (!before) return [];
      put(key, before, undefined);
      return [{ before }];
    },
    replace(wanted) {
      const changes: Change<T>[] = [];
      const kept = new Set<string>();
      for (const object of wanted) {
        kept.add(keyOf(object));
        changes.push(...set(object));
      }
      for (const [key, before] of objects) {
        if (kept.has(key)) continue;
        put(key, before, undefined);
        changes.push({ before });
      }
      return changes;
    },
  };
}
