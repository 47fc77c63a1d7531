import { expect, test } from "vitest";
import { createHeap } from "./heap.ts";

test("values come out in order, in whatever order they went in", () => {
  const heap = createHeap<number>((a, b) => a < b);
  expect([heap.peek(), heap.pop()]).toEqual([undefined, undefined]);
  // A fixed sequence that looks like chance, with repetitions.
  const values = Array.from({ length: 200 }, (_, i) => (i * 7919) % 101);
  for (const value of values) heap.push(value);
  expect(heap.peek()).toBe(0);
  expect(values.map(() => heap.pop())).toEqual(values.toSorted((a, b) => a - b));
  heap.push(1);
  heap.clear();
  expect(heap.pop()).toBeUndefined();
});
