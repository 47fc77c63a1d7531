import { canonicalJson, isObject, own } from "../values/equal.ts";

/** A value as a text that equal values share: lists are looked up by it, so that a long one takes no time that grows with its square. */
export const identity = (value: unknown): string => canonicalJson(value);

/** What an item is known by in its list: the value of the merge key, or itself. */
export const identityOf = (item: unknown, mergeKey: string): string =>
  identity(mergeKey && isObject(item) ? own(item, mergeKey) : item);

/** Where in a list the first item of each identity is. */
type Places = ReadonlyMap<string, number>;

function placesIn(list: readonly unknown[], mergeKey: string): Places {
  const places = new Map<string, number>();
  for (const [i, item] of list.entries()) {
    const known = identityOf(item, mergeKey);
    if (!places.has(known)) places.set(known, i);
  }
  return places;
}

/** An item and what it is known by. */
interface Known {
  readonly item: unknown;
  readonly known: string;
}

/** The items in the order in which another list has them. Those that it does not have stay where they are. */
function ordered(items: readonly Known[], order: Places): Known[] {
  const ranked = items.map((one) => ({ one, rank: order.get(one.known) ?? -1 }));
  return ranked.sort((a, b) => (a.rank >= 0 && b.rank >= 0 ? a.rank - b.rank : 0)).map(({ one }) => one);
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
  const [named, served] = [placesIn(patchOrder, mergeKey), placesIn(serverOrder, mergeKey)];
  const all = merged.map((item): Known => ({ item, known: identityOf(item, mergeKey) }));
  const inPatch = ordered(
    all.filter(({ known }) => named.has(known)),
    named,
  );
  const serverOnly = ordered(
    all.filter(({ known }) => !named.has(known)),
    served,
  );
  const result: unknown[] = [];
  let [left, right] = [0, 0];
  for (;;) {
    const [server, patch] = [serverOnly[left], inPatch[right]];
    if (!server || !patch) break;
    const [was, is] = [served.get(server.known), served.get(patch.known)];
    if (was !== undefined && is !== undefined && was < is) {
      result.push(server.item);
      left++;
    } else {
      result.push(patch.item);
      right++;
    }
  }
  for (const { item } of serverOnly.slice(left)) result.push(item);
  for (const { item } of inPatch.slice(right)) result.push(item);
  return result;
}
