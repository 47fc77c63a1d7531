import { createHash } from "node:crypto";

/** A request that waits for seats. */
export interface Waiter {
  readonly seats: number;
  /** Whose it is: flows share the seats fairly. */
  readonly flow: string;
  /** Called once, when it has its seats; `queue` is the number of the queue it waited in, -1 when that is no more. */
  start(queue: number): void;
}

interface Queue<W extends Waiter> {
  readonly index: number;
  readonly waiting: W[];
  /** Virtual time at which its next request would begin: who was served much is late. */
  begins: number;
}

export interface QueueSetOptions {
  readonly queues: number;
  /** Queues that one flow may use. */
  readonly handSize: number;
  /** Requests that wait in one queue at most. */
  readonly lengthLimit: number;
}

/** Bounded queues of one priority level. Each flow has a few of them, so that a greedy one fills its own and hardly anybody else's. */
export interface QueueSet<W extends Waiter = Waiter> {
  /** Requests that wait. */
  readonly length: number;
  /** Puts a request of a flow into the emptiest of its queues. False: they are full. */
  add(waiter: W): boolean;
  /** Takes a request out before its turn. False: it is not there. */
  remove(waiter: W): boolean;
  /** The request whose turn is next, left where it is. */
  peek(): W | undefined;
  /** Takes out what `peek` showed. Answers the number of the queue that it was in. */
  shift(): number;
  /** All that wait, in no order. */
  all(): readonly W[];
  /** Each queue with those that wait in it, the next first. */
  queues(): readonly { readonly waiting: readonly W[]; readonly begins: number }[];
}

/**
 * Shuffle sharding and start-time fair queuing over seats, as KEP-1040 has them; the work of a request is taken to be its seats, since how
 * long it will take nobody knows.
 */
export function createQueueSet<W extends Waiter>({ queues, handSize, lengthLimit }: QueueSetOptions): QueueSet<W> {
  const all: Queue<W>[] = Array.from({ length: Math.max(1, queues) }, (_, index) => ({
    index,
    waiting: [],
    begins: 0,
  }));
  const busy = new Set<Queue<W>>();
  const placeOf = new Map<W, Queue<W>>();
  let now = 0;

  const next = (): Queue<W> | undefined => {
    let first: Queue<W> | undefined;
    for (const queue of busy) if (!first || queue.begins < first.begins) first = queue;
    return first;
  };
  const settle = (queue: Queue<W>, waiter: W): void => {
    placeOf.delete(waiter);
    if (queue.waiting.length === 0) busy.delete(queue);
  };
  return {
    get length() {
      return placeOf.size;
    },
    add(waiter) {
      let chosen: Queue<W> | undefined;
      for (const index of dealHand(waiter.flow, all.length, handSize)) {
        const queue = all[index];
        if (queue && (!chosen || queue.waiting.length < chosen.waiting.length)) chosen = queue;
      }
      if (!chosen || chosen.waiting.length >= lengthLimit) return false;
      // Who has been away has saved nothing up.
      if (chosen.waiting.length === 0) chosen.begins = Math.max(chosen.begins, now);
      chosen.waiting.push(waiter);
      busy.add(chosen);
      placeOf.set(waiter, chosen);
      return true;
    },
    remove(waiter) {
      const queue = placeOf.get(waiter);
      if (!queue) return false;
      queue.waiting.splice(queue.waiting.indexOf(waiter), 1);
      settle(queue, waiter);
      return true;
    },
    peek: () => next()?.waiting[0],
    all: () => [...placeOf.keys()],
    queues: () => all,
    shift() {
      const queue = next();
      const waiter = queue?.waiting.shift();
      if (!queue || !waiter) return -1;
      now = queue.begins;
      queue.begins += waiter.seats;
      settle(queue, waiter);
      return queue.index;
    },
  };
}

/** Distinct queues for a flow, always the same: by its hash, as one deals cards. */
export function dealHand(flow: string, deck: number, hand: number): number[] {
  if (deck <= 1) return [0];
  let hash = createHash("sha256").update(flow).digest().readBigUInt64BE();
  const cards: number[] = [];
  for (let left = deck; left > deck - Math.min(hand, deck); left--) {
    const size = BigInt(left);
    let card = Number(hash % size);
    hash /= size;
    // The cards that were dealt are no longer in the deck.
    for (const dealt of cards.toSorted((a, b) => a - b)) if (card >= dealt) card++;
    cards.push(card);
  }
  return cards;
}
