import { expect, test } from "vitest";
import { place, priorityOf, surplus } from "./placement.ts";

const groups = Array.from({ length: 200 }, (_, i) => `v4-${i + 1}`);
const nodes = ["a", "b", "c", "d", "e"];
const count = (names: readonly (string | undefined)[]) =>
  Object.fromEntries(nodes.map((node) => [node, names.filter((name) => name === node).length]));

test("each node is the first choice of as many groups as any other", () => {
  const placed = place(groups, nodes);
  expect(count([...placed.values()].map(([first]) => first))).toEqual({ a: 40, b: 40, c: 40, d: 40, e: 40 });
  for (const order of placed.values()) expect([...order].sort()).toEqual(nodes);
});

test("what a node leaves goes to all others", () => {
  const seconds = [...place(groups, nodes).values()].filter(([first]) => first === "a").map(([, second]) => second);
  for (const [node, share] of Object.entries(count(seconds))) if (node !== "a") expect(share).toBeGreaterThan(3);
});

test("it does not depend on the order in which nodes are named", () => {
  expect(place(groups, nodes)).toEqual(place(groups, [...nodes].reverse()));
});

test.each([1, 2, 3, 5, 50, 254])("priorities of %i nodes differ and are VRRP's", (size) => {
  const priorities = Array.from({ length: size }, (_, place) => priorityOf(place, size));
  expect(new Set(priorities).size).toBe(size);
  expect(priorities[0]).toBe(254);
  expect(Math.min(...priorities)).toBeGreaterThanOrEqual(1);
});

test("addresses move where a node holds so much that another may be left without nine tenths of its share", () => {
  expect([surplus(40, 200, 5), surplus(41, 200, 5), surplus(42, 200, 5), surplus(200, 200, 5)]).toEqual([0, 0, 1, 159]);
  expect([surplus(10, 40, 4), surplus(11, 40, 4), surplus(11, 20, 2), surplus(12, 20, 2)]).toEqual([0, 1, 0, 1]);
  for (const [count, size] of [
    [200, 5],
    [40, 4],
    [30, 3],
    [1000, 20],
  ] as const) {
    const most = Array.from({ length: count }, (_, held) => held).findLast((held) => surplus(held, count, size) === 0);
    expect(count - (most ?? 0) * (size - 1)).toBeGreaterThanOrEqual((count / size) * 0.9);
  }
});

test("a few addresses do not move for the sake of evenness", () => {
  expect([surplus(1, 1, 3), surplus(2, 2, 2), surplus(3, 3, 3)]).toEqual([0, 0, 1]);
});
