/** Who of a list has which keys, as the list changes: it costs a look at each item, and work for those that came or went. */
export interface Claims<T, K = string> {
  /** The items of now, each once; a list does not change. Answers the keys that others have than the last time. */
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
  let followed: readonly T[] = [];

  const placeOf = (item: T): number => places.get(item) ?? 0;

  function remove(gone: readonly T[], touched: Set<K>): void {
    const keys = new Set<K>();
    for (const item of gone) for (const key of keysOf(item)) keys.add(key);
    // Each list once, however many of it have gone.
    for (const key of keys) {
      const left = (byKey.get(key) ?? []).filter((item) => places.has(item));
      touched.add(key);
      if (left.length === 0) byKey.delete(key);
      else byKey.set(key, left);
    }
  }

  function add(item: T, touched: Set<K>): void {
    for (const key of keysOf(item)) {
      touched.add(key);
      const list = byKey.get(key);
      if (!list) {
        byKey.set(key, [item]);
        continue;
      }
      const at = firstBehind(list, placeOf(item));
      // It may have a key twice.
      if (list[at - 1] !== item) list.splice(at, 0, item);
    }
  }

  function firstBehind(list: readonly T[], place: number): number {
    let [low, high] = [0, list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (placeOf(list[middle] as T) <= place) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  return {
    follow(items) {
      const touched = new Set<K>();
      if (items === followed) return touched;
      followed = items;
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
      if (kept < before) {
        const gone: T[] = [];
        for (const [item, place] of places) if (items[place] !== item) gone.push(item);
        for (const item of gone) places.delete(item);
        remove(gone, touched);
      }
      // Who stood behind another stands before it now: nothing is where it was.
      if (!inOrder)
        for (const [key, list] of byKey) {
          touched.add(key);
          list.sort((a, b) => placeOf(a) - placeOf(b));
        }
      for (const item of came) add(item, touched);
      return touched;
    },
    of: (key) => byKey.get(key) ?? [],
    has: (key) => byKey.has(key),
    includes: (item) => places.has(item),
  };
}
