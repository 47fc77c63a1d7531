import type { Pool } from "../../routing/index.ts";

/** What kind of backend of the configuration a pool needs. */
export type SlotKind = "http" | "tcp";

/** The name of a backend that a pool has taken, or that is spare. */
export type Slot = string;

/** Which pool has which backend: backends are declared before they are needed, since HAProxy makes none at run time. */
export interface Slots {
  /** By pool key. */
  readonly taken: ReadonlyMap<string, Slot>;
  /** Declared backends of each kind. */
  readonly declared: Readonly<Record<SlotKind, number>>;
}

export const noSlots: Slots = { taken: new Map(), declared: { http: 0, tcp: 0 } };

const letter = { http: "h", tcp: "t" } as const;

export function kindOf(pool: Pool): SlotKind {
  return pool.protocol === "tcp" || pool.protocol === "udp" ? "tcp" : "http";
}

/** All names of a kind. */
export function slotNames({ declared }: Slots, kind: SlotKind): Slot[] {
  return Array.from({ length: declared[kind] }, (_, index) => `${letter[kind]}${index}`);
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
    if (slot?.startsWith(letter[kind])) {
      taken.set(pool.key, slot);
      used.add(slot);
    } else waiting.push({ key: pool.key, kind });
  }
  const declared = { ...before.declared };
  const next = { http: 0, tcp: 0 };
  for (const { key, kind } of waiting) {
    while (used.has(`${letter[kind]}${next[kind]}`)) next[kind]++;
    const slot = `${letter[kind]}${next[kind]++}`;
    used.add(slot);
    taken.set(key, slot);
  }
  for (const kind of ["http", "tcp"] as const) {
    const most = next[kind];
    if (most > declared[kind] || declared[kind] === 0) declared[kind] = most + Math.max(32, most >> 2);
  }
  return { taken, declared };
}
