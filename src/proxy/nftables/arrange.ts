/**
 * Puts `wanted` into slots 0..n-1 with the fewest slots changed: who stays keeps the slot, the last ones move into holes.
 * So removing one of n endpoints changes two rows, and adding one changes one.
 */
export function arrange<T>(previous: readonly T[], wanted: readonly T[], id: (item: T) => string): T[] {
  if (previous.length === 0) return [...wanted];
  const missing = numbered(wanted, id);
  const slots: (T | undefined)[] = Array.from({ length: missing.size });
  for (const [i, [key]] of [...numbered(previous, id)].entries()) {
    const stays = i < slots.length ? missing.get(key) : undefined;
    if (stays === undefined) continue;
    slots[i] = stays;
    missing.delete(key);
  }
  const rest = missing.values();
  return slots.map((item) => item ?? (rest.next().value as T));
}

/** The items by their id; those that are there several times have a number after it. */
function numbered<T>(items: readonly T[], id: (item: T) => string): Map<string, T> {
  const found = new Map<string, T>();
  const counts = new Map<string, number>();
  for (const item of items) {
    const key = id(item);
    if (!found.has(key)) {
      found.set(key, item);
      continue;
    }
    const count = (counts.get(key) ?? 1) + 1;
    counts.set(key, count);
    found.set(`${key} #${count}`, item);
  }
  return found;
}

/** Gives each name a small number that it keeps: names in `previous` theirs, new ones the lowest that is free from 1. */
export function number(previous: ReadonlyMap<string, number>, names: readonly string[]): Map<string, number> {
  const numbers = new Map<string, number>();
  for (const name of names) {
    const old = previous.get(name);
    if (old !== undefined) numbers.set(name, old);
  }
  const taken = new Set(numbers.values());
  let next = 1;
  for (const name of names) {
    if (numbers.has(name)) continue;
    while (taken.has(next)) next += 1;
    numbers.set(name, next);
    taken.add(next);
  }
  return numbers;
}
