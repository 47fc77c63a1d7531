import { isObject, jsonEqual } from "../values/equal.ts";

/** What an item is known by in its list: the value of the merge key, or itself. */
const identityOf = (item: unknown, mergeKey: string): unknown => (mergeKey && isObject(item) ? item[mergeKey] : item);

function position(list: readonly unknown[], item: unknown, mergeKey: string): number {
  const identity = identityOf(item, mergeKey);
  return list.findIndex((other) => jsonEqual(identityOf(other, mergeKey), identity));
}

/** The items in the order in which another list has them. Those that it does not have stay where they are. */
function ordered(items: readonly unknown[], order: readonly unknown[], mergeKey: string): unknown[] {
  const ranked = items.map((item) => ({ item, rank: position(order, item, mergeKey) }));
  return ranked.sort((a, b) => (a.rank >= 0 && b.rank >= 0 ? a.rank - b.rank : 0)).map(({ item }) => item);
}

/**
 * A merged list in the order that upstream gives it: what the patch names, in the patch's order; what only the server has goes before
 * an item of the patch only when it was before it on the server. So what is new comes first.
 */
export function arrangeList(
  merged: readonly unknown[],
  patchOrder: readonly unknown[],
  serverOrder: readonly unknown[],
  mergeKey: string,
): unknown[] {
  const isNamed = (item: unknown): boolean => position(patchOrder, item, mergeKey) >= 0;
  const named = ordered(merged.filter(isNamed), patchOrder, mergeKey);
  const serverOnly = ordered(
    merged.filter((item) => !isNamed(item)),
    serverOrder,
    mergeKey,
  );
  const result: unknown[] = [];
  let [left, right] = [0, 0];
  while (left < serverOnly.length && right < named.length) {
    const [was, is] = [
      position(serverOrder, serverOnly[left], mergeKey),
      position(serverOrder, named[right], mergeKey),
    ];
    if (was >= 0 && is >= 0 && was < is) result.push(serverOnly[left++]);
    else result.push(named[right++]);
  }
  return [...result, ...serverOnly.slice(left), ...named.slice(right)];
}
