/** Who of a list has which keys, as the list changes: it costs a look at each item, and work for those that came or went. */
export interface Claims<T, K = string> {
  /** The items of now, each once. Answers the keys that others have than the last time. */
  follow(items: readonly T[]): ReadonlySet<K>;
  /** The items that have a key, in the order of the list. */
  of(key: K): readonly T[];
  has(key: K): boolean;
  /** Whether an item is one of now. */
  includes(item: T): boolean;
}

/** What an item is does not change: `keysOf` answers the same for it, always. */
export function createClaims<T, K = string>(keysOf: (item: T) => Iterable<K>): Claims<T, K> {
  const byKey = new Map<K, T[]>();
  /** Where each item stands in the list. */
  const places = new Map<T, number>();

  function remove(item: T, touched: Set<K>): void {
    for (const key of keysOf(item)) {
      const list = byKey.get(key);
      const at = list?.indexOf(item) ?? -1;
      if (!list || at < 0) continue;
      touched.add(key);
      if (list.length === 1) byKey.delete(key);
      else list.splice(at, 1);
    }
  }

  function add(item: T, touched: Set<K>): void {
    const place = places.get(item) ?? 0;
    for (const key of keysOf(item)) {
      touched.add(key);
      const list = byKey.get(key);
      if (!list) {
        byKey.set(key, [item]);
        continue;
      }
      let at = list.length;
      while (at > 0 && (places.get(list[at - 1] as T) ?? 0) > place) at--;
      // It may have a key twice.
      if (list[at - 1] !== item) list.splice(at, 0, item);
    }
  }

  return {
    follow(items) {
      const touched = new Set<K>();
      const came: T[] = [];
      const before = places.size;
      let kept = 0;
      let last = -1;
      let inOrder = true;
      for (const [place, item] of items.entries()) {
        const old = places.get(item);
        if (old === undefined) came.push(item);
        else {
          kept++;
          inOrder &&= old > last;
          last = old;
        }
        places.set(item, place);
      }
      if (kept < before)
        for (const [item, place] of places)
          if (items[place] !== item) {
            places.delete(item);
            remove(item, touched);
          }
      // Who stood behind another stands before it now: nothing is where it was.
      if (!inOrder)
        for (const [key, list] of byKey) {
          touched.add(key);
          list.sort((a, b) => (places.get(a) ?? 0) - (places.get(b) ?? 0));
        }
      for (const item of came) add(item, touched);
      return touched;
    },
    of: (key) => byKey.get(key) ?? [],
    has: (key) => byKey.has(key),
    includes: (item) => places.has(item),
  };
}
