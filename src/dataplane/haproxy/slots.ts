import { type Balance, changedKeys, derive, type Pool } from "../../routing/index.ts";
import { type NamedRetry, retryName } from "../retry-sets.ts";

/** A pool as HAProxy has it: only a backend can say when its requests are tried again. */
export interface SlotPool extends Pool {
  readonly retry?: NamedRetry;
}

type UsualKind = "http" | "tcp" | `${"http" | "tcp"}-${Exclude<Balance, "leastconn">}`;

/** What kind of backend of the configuration a pool needs: what cannot be changed while HAProxy runs. After `+` the name of its `retry`. */
export type SlotKind = UsualKind | `${UsualKind}+${string}`;

/** The name of a backend that a pool has taken, or that is spare. */
export type Slot = string;

/** Which pool has which backend: backends are declared before they are needed, since HAProxy makes none at run time. */
export interface Slots {
  /** By key. */
  readonly pools: ReadonlyMap<string, SlotPool>;
  /** By pool key. */
  readonly taken: ReadonlyMap<string, Slot>;
  /** Declared backends of each kind. */
  readonly declared: Numbers;
  /** Of each kind: all slots with a smaller number are taken. */
  readonly first: Numbers;
  /** Conditions of another try by their names, for the kinds that are declared. */
  readonly retries: ReadonlyMap<string, NamedRetry>;
}

/** The usual kinds are always there. */
type Numbers = Readonly<Record<UsualKind, number> & Record<string, number>>;

const letters: Readonly<Record<UsualKind, string>> = {
  http: "h",
  "http-roundrobin": "hr",
  "http-first": "hf",
  "http-source": "hs",
  tcp: "t",
  "tcp-roundrobin": "tr",
  "tcp-first": "tf",
  "tcp-source": "ts",
};

const usualKinds = Object.keys(letters) as UsualKind[];

const none = (): Record<UsualKind, number> & Record<string, number> =>
  Object.fromEntries(usualKinds.map((kind) => [kind, 0])) as Record<UsualKind, number>;

export const noSlots: Slots = {
  pools: new Map(),
  taken: new Map(),
  declared: none(),
  first: none(),
  retries: new Map(),
};

/** All kinds that are declared. */
export const slotKinds = ({ declared }: Pick<Slots, "declared">): SlotKind[] => Object.keys(declared) as SlotKind[];

/** What kind of backend it is but for its `retry`, and the name of that. */
export function partsOf(kind: SlotKind): [usual: UsualKind, retry?: string] {
  return kind.split("+") as [UsualKind, string?];
}

export function kindOf({ protocol, balance, retry }: SlotPool): SlotKind {
  const kind = protocol === "tcp" || protocol === "udp" ? "tcp" : "http";
  const usual: UsualKind = balance === undefined || balance === "leastconn" ? kind : `${kind}-${balance}`;
  return retry ? `${usual}+${retryName(retry) ?? ""}` : usual;
}

/** What names of a kind begin with. */
function prefixOf(kind: SlotKind): string {
  const [usual, retry] = partsOf(kind);
  return retry === undefined ? letters[usual] : `${letters[usual]}_${retry}_`;
}

const isOf = (slot: Slot, kind: SlotKind): boolean =>
  slot.startsWith(prefixOf(kind)) && /^\d/.test(slot.slice(prefixOf(kind).length));

/** All names of a kind. */
export function slotNames({ declared }: Slots, kind: SlotKind): Slot[] {
  return Array.from({ length: declared[kind] ?? 0 }, (_, index) => `${prefixOf(kind)}${index}`);
}

/**
 * Slots for `pools`: who has one keeps it. `leaving` are slots that still have something to end, and so have those of pools that go with this change. When spares
 * run out more are declared, a quarter of what is used and at least 32, so that it happens seldom.
 */
export function assignSlots(before: Slots, pools: ReadonlyMap<string, SlotPool>, leaving: ReadonlySet<Slot>): Slots {
  const gone: string[] = [];
  const waiting: { key: string; kind: SlotKind }[] = [];
  for (const key of changedKeys(before.pools, pools)) {
    const pool = pools.get(key);
    const slot = before.taken.get(key);
    if (slot !== undefined && pool && isOf(slot, kindOf(pool))) continue;
    if (slot !== undefined) gone.push(key);
    if (pool) waiting.push({ key, kind: kindOf(pool) });
  }
  const first = { ...before.first };
  const ending = new Set(leaving);
  for (const key of gone) {
    const slot = before.taken.get(key) ?? "";
    ending.add(slot);
    const kind = slotKinds(before).find((each) => isOf(slot, each));
    if (kind) first[kind] = Math.min(first[kind] ?? 0, Number(slot.slice(prefixOf(kind).length)));
  }
  const changes: [string, Slot | undefined][] = gone.map((key) => [key, undefined]);
  const most = none();
  const used = new Set(waiting.length === 0 ? [] : [...before.taken.values(), ...ending]);
  for (const { key, kind } of waiting) {
    const prefix = prefixOf(kind);
    let at = first[kind] ?? 0;
    // What still ends something is free some day: the next one looks there again.
    let passed = true;
    for (; used.has(`${prefix}${at}`); at++) {
      passed &&= !ending.has(`${prefix}${at}`);
      if (passed) first[kind] = at + 1;
    }
    used.add(`${prefix}${at}`);
    changes.push([key, `${prefix}${at}`]);
    most[kind] = Math.max(most[kind] ?? 0, at + 1);
  }
  const taken = derive(before.taken, changes);
  const declared = { ...before.declared };
  let more = false;
  for (const [kind, number] of Object.entries(most)) {
    const there = declared[kind] ?? 0;
    // The usual two have spares from the start.
    const begun = there > 0 || (number === 0 && kind.includes("-"));
    if (number <= there && begun) continue;
    declared[kind] = number + Math.max(kind.includes("+") ? 8 : 32, number >> 2);
    more = true;
  }
  if (!more) return { pools, taken, declared: before.declared, first, retries: before.retries };
  // Another process takes over: what nobody uses any more need not be declared there.
  const retries = new Map<string, NamedRetry>();
  for (const { retry } of pools.values()) if (retry) retries.set(retryName(retry) ?? "", retry);
  const ends = [...ending];
  for (const kind of slotKinds({ declared })) {
    const [, name] = partsOf(kind);
    if (name === undefined || retries.has(name)) continue;
    const known = before.retries.get(name);
    if (known && ends.some((slot) => isOf(slot, kind))) retries.set(name, known);
    else {
      delete declared[kind];
      delete first[kind];
    }
  }
  return { pools, taken, declared, first, retries };
}
