import { describe, expect, it } from "vitest";
import { createQueueSet, dealHand, type Waiter } from "./queue-set.ts";

const waiterOf = (flow: string, seats = 1): Waiter => ({ flow, seats, start: () => {} });

describe("the hand of a flow", () => {
  it("is always the same, and holds no queue twice", () => {
    for (let i = 0; i < 200; i++) {
      const hand = dealHand(`flow ${i}`, 16, 6);
      expect(hand).toEqual(dealHand(`flow ${i}`, 16, 6));
      expect(new Set(hand).size).toBe(6);
      expect(hand.every((card) => card >= 0 && card < 16)).toBe(true);
    }
  });

  it("is another for most flows", () => {
    const hands = Array.from({ length: 100 }, (_, i) => dealHand(`flow ${i}`, 64, 6).toSorted().join());
    expect(new Set(hands).size).toBeGreaterThan(95);
  });

  it("is all there is where there are few queues", () => {
    expect(dealHand("a", 1, 8)).toEqual([0]);
    expect(dealHand("a", 3, 8).toSorted()).toEqual([0, 1, 2]);
  });
});

describe("queues", () => {
  it("give a flow that came late its turn before the greedy one's many", () => {
    const queues = createQueueSet({ queues: 64, handSize: 1, lengthLimit: 100 });
    for (let i = 0; i < 50; i++) queues.add(waiterOf("greedy"));
    queues.peek();
    queues.shift();
    const modest = waiterOf("modest");
    queues.add(modest);
    const turns: Waiter[] = [];
    for (let i = 0; i < 2; i++) {
      const next = queues.peek();
      if (next) turns.push(next);
      queues.shift();
    }
    expect(turns).toContain(modest);
    expect(queues.length).toBe(48);
  });

  it("count seats, not requests", () => {
    const queues = createQueueSet({ queues: 64, handSize: 1, lengthLimit: 100 });
    for (let i = 0; i < 10; i++) queues.add(waiterOf("wide", 10));
    for (let i = 0; i < 30; i++) queues.add(waiterOf("narrow"));
    const seats: Record<string, number> = { wide: 0, narrow: 0 };
    for (let i = 0; i < 22; i++) {
      const next = queues.peek();
      if (next) seats[next.flow] = (seats[next.flow] ?? 0) + next.seats;
      queues.shift();
    }
    expect(Math.abs((seats["wide"] ?? 0) - (seats["narrow"] ?? 0))).toBeLessThanOrEqual(10);
  });

  it("are bounded, and let go of who leaves", () => {
    const queues = createQueueSet({ queues: 8, handSize: 2, lengthLimit: 3 });
    const waiters = Array.from({ length: 6 }, () => waiterOf("one"));
    expect(waiters.every((waiter) => queues.add(waiter))).toBe(true);
    expect(queues.add(waiterOf("one"))).toBe(false);
    const [first] = waiters;
    expect(first && queues.remove(first)).toBe(true);
    expect(first && queues.remove(first)).toBe(false);
    expect(queues.add(waiterOf("one"))).toBe(true);
    expect(queues.all()).toHaveLength(6);
  });
});
