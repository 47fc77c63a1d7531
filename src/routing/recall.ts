import { createClaims } from "./claims.ts";

/** A look-up into everything else, by what is asked and of whom. `World` says what each question is answered with. */
export type Ask<World> = <K extends keyof World>(what: K, key: string) => World[K];

/** What was worked out, and all that was asked for it: while the answers are the same, so is it. */
export interface Remembered<World, T> {
  readonly value: T;
  readonly answers: readonly (readonly [what: keyof World, key: string, answer: unknown])[];
}

/** What is known while all that was asked for it is answered the same (by identity); else what `make` makes of it now. */
export function recall<World, T>(
  known: Remembered<World, T> | undefined,
  ask: Ask<World>,
  make: (ask: Ask<World>) => T,
): Remembered<World, T> {
  if (known && holds(known.answers, ask)) return known;
  const answers: [keyof World, string, unknown][] = [];
  // What is asked again and again, once for each rule, is looked at once.
  const asked = new Set<string>();
  const value = make((what, key) => {
    const answer = ask(what, key);
    const question = `${String(what)} ${key}`;
    if (!asked.has(question)) answers.push([what, key, answer]);
    asked.add(question);
    return answer;
  });
  return { value, answers };
}

function holds<World>(answers: Remembered<World, unknown>["answers"], ask: Ask<World>): boolean {
  for (const [what, key, answer] of answers) if (ask(what, key) !== answer) return false;
  return true;
}

/** What may be answered otherwise than before: keys, by what is asked. */
export type Doubts<World> = { readonly [What in keyof World]: ReadonlySet<string> };

/** What is made of each item of a list, one list after the other: it costs a look at each item, and work for those that came and those in doubt. */
export interface RecallTable<World, Item, T> {
  /** In the order of the items. The same list while all of it is the same. Without `doubts` all answers are looked at. */
  read(
    items: readonly Item[],
    ask: Ask<World>,
    make: (item: Item, ask: Ask<World>) => T,
    doubts?: Doubts<World>,
  ): readonly T[];
  /** Whether that was asked for any of the items. */
  asks(what: keyof World, key: string): boolean;
  /** `make` makes something else of everything now. */
  forget(): void;
}

/** `make` answers the same for the same item and answers, until `forget` is called. */
export function createRecallTable<World, Item, T>(): RecallTable<World, Item, T> {
  interface Entry extends Remembered<World, T> {
    readonly item: Item;
  }
  const known = new Map<Item, Entry>();
  const question = (what: keyof World, key: string): string => `${String(what)} ${key}`;
  const askers = createClaims<Entry>(({ answers }) => answers.map(([what, key]) => question(what, key)));
  let entries: readonly Entry[] = [];
  let values: readonly T[] = [];

  function* inDoubt(doubts: Doubts<World>): Generator<Entry> {
    for (const what of Object.keys(doubts) as (keyof World)[])
      for (const key of doubts[what]) yield* askers.of(question(what, key));
  }

  return {
    read(items, ask, make, doubts) {
      for (const entry of doubts ? inDoubt(doubts) : entries) if (!holds(entry.answers, ask)) known.delete(entry.item);
      let isSame = items.length === entries.length;
      const now = items.map((item, place) => {
        let entry = known.get(item);
        if (!entry) known.set(item, (entry = { item, ...recall(undefined, ask, (own) => make(item, own)) }));
        isSame &&= entry === entries[place];
        return entry;
      });
      if (isSame) return values;
      askers.follow(now);
      for (const entry of entries)
        if (!askers.includes(entry) && known.get(entry.item) === entry) known.delete(entry.item);
      entries = now;
      return (values = now.map(({ value }) => value));
    },
    asks: (what, key) => askers.has(question(what, key)),
    forget: () => known.clear(),
  };
}
