import type { Balance, Pool } from "../../routing/index.ts";

/** What kind of backend of the configuration a pool needs: what cannot be changed while HAProxy runs. */
export type SlotKind = "http" | "tcp" | `${"http" | "tcp"}-${Exclude<Balance, "leastconn">}`;

/** The name of a backend that a pool has taken, or that is spare. */
export type Slot = string;

/** Which pool has which backend: backends are declared before they are needed, since HAProxy makes none at run time. */
export interface Slots {
  /** By pool key. */
  readonly taken: ReadonlyMap<string, Slot>;
  /** Declared backends of each kind. */
  readonly declared: Readonly<Record<SlotKind, number>>;
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

export const noSlots: Slots = { taken: new Map(), declared: none() };

export function kindOf({ protocol, balance }: Pool): SlotKind {
  const kind = protocol === "tcp" || protocol === "udp" ? "tcp" : "http";
  return balance === undefined || balance === "leastconn" ? kind : `${kind}-${balance}`;
}

const isOf = (slot: Slot, kind: SlotKind): boolean => slot.replace(/\d+$/, "") === letters[kind];

/** All names of a kind. */
export function slotNames({ declared }: Slots, kind: SlotKind): Slot[] {
  return Array.from({ length: declared[kind] }, (_, index) => `${letters[kind]}${index}`);
}

/**
 * Slots for `pools`: who has one keeps it. `leaving` are slots that still have something to end. When spares run out more
 * are declared, a quarter of what is used and at least 32, so that it happens seldom.
 */
export function assignSlots(before: Slots, pools: Iterable<Pool>, leaving: ReadonlySet<Slot>): Slots {
  const taken = new Map<string, Slot>();
  const used = new Set<Slot>(leaving);
  const waiting: { key: string; kind: SlotKind }[] = [];
  for (const pool of pools) {
    const kind = kindOf(pool);
    const slot = before.taken.get(pool.key);
    if (slot !== undefined && isOf(slot, kind)) {
      taken.set(pool.key, slot);
      used.add(slot);
    } else waiting.push({ key: pool.key, kind });
  }
  const declared = { ...before.declared };
  const next = none();
  for (const { key, kind } of waiting) {
    while (used.has(`${letters[kind]}${next[kind]}`)) next[kind]++;
    const slot = `${letters[kind]}${next[kind]++}`;
    used.add(slot);
    taken.set(key, slot);
  }
  for (const kind of slotKinds) {
    const most = next[kind];
    // The usual two have spares from the start.
    const begun = declared[kind] > 0 || (most === 0 && kind.includes("-"));
    if (most > declared[kind] || !begun) declared[kind] = most + Math.max(32, most >> 2);
  }
  return { taken, declared };
}
