import { type Balance, changedKeys, derive, type Pool } from "../../routing/index.ts";

/** What kind of backend of the configuration a pool needs: what cannot be changed while HAProxy runs. */
export type SlotKind = "http" | "tcp" | `${"http" | "tcp"}-${Exclude<Balance, "leastconn">}`;

/** The name of a backend that a pool has taken, or that is spare. */
export type Slot = string;

/** Which pool has which backend: backends are declared before they are needed, since HAProxy makes none at run time. */
export interface Slots {
  /** By key. */
  readonly pools: ReadonlyMap<string, Pool>;
  /** By pool key. */
  readonly taken: ReadonlyMap<string, Slot>;
  /** Declared backends of each kind. */
  readonly declared: Readonly<Record<SlotKind, number>>;
  /** Of each kind: all slots with a smaller number are taken. */
  readonly first: Readonly<Record<SlotKind, number>>;
}

const letters: Readonly<Record<SlotKind, string>> = {
  http: "h",
  "http-roundrobin": "hr",
  "http-first": "hf",
  "http-source": "hs",
  tcp: "t",
  "tcp-roundrobin": "tr",
  "tcp-first": "tf",
  "tcp-source": "ts",
};

/** All kinds. */
export const slotKinds = Object.keys(letters) as SlotKind[];

const none = (): Record<SlotKind, number> =>
  Object.fromEntries(slotKinds.map((kind) => [kind, 0])) as Record<SlotKind, number>;

export const noSlots: Slots = { pools: new Map(), taken: new Map(), declared: none(), first: none() };

export function kindOf({ protocol, balance }: Pool): SlotKind {
  const kind = protocol === "tcp" || protocol === "udp" ? "tcp" : "http";
  return balance === undefined || balance === "leastconn" ? kind : `${kind}-${balance}`;
}

const isOf = (slot: Slot, kind: SlotKind): boolean =>
  slot.startsWith(letters[kind]) && /^\d/.test(slot.slice(letters[kind].length));

/** All names of a kind. */
export function slotNames({ declared }: Slots, kind: SlotKind): Slot[] {
  return Array.from({ length: declared[kind] }, (_, index) => `${letters[kind]}${index}`);
}

/**
 * Slots for `pools`: who has one keeps it. `leaving` are slots that still have something to end, and so have those of pools that go with this change. When spares
 * run out more are declared, a quarter of what is used and at least 32, so that it happens seldom.
 */
export function assignSlots(before: Slots, pools: ReadonlyMap<string, Pool>, leaving: ReadonlySet<Slot>): Slots {
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
    const kind = slotKinds.find((each) => isOf(slot, each));
    if (kind) first[kind] = Math.min(first[kind], Number(slot.slice(letters[kind].length)));
  }
  const changes: [string, Slot | undefined][] = gone.map((key) => [key, undefined]);
  const most = none();
  const used = new Set(waiting.length === 0 ? [] : [...before.taken.values(), ...ending]);
  for (const { key, kind } of waiting) {
    let at = first[kind];
    // What still ends something is free some day: the next one looks there again.
    let passed = true;
    for (; used.has(`${letters[kind]}${at}`); at++) {
      passed &&= !ending.has(`${letters[kind]}${at}`);
      if (passed) first[kind] = at + 1;
    }
    used.add(`${letters[kind]}${at}`);
    changes.push([key, `${letters[kind]}${at}`]);
    most[kind] = Math.max(most[kind], at + 1);
  }
  const declared = { ...before.declared };
  for (const kind of slotKinds) {
    // The usual two have spares from the start.
    const begun = declared[kind] > 0 || (most[kind] === 0 && kind.includes("-"));
    if (most[kind] > declared[kind] || !begun) declared[kind] = most[kind] + Math.max(32, most[kind] >> 2);
  }
  return { pools, taken: derive(before.taken, changes), declared, first };
}
