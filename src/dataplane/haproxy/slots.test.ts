import { expect, test } from "vitest";
import type { Pool } from "../../routing/index.ts";
import { assignSlots, noSlots, slotNames } from "./slots.ts";

const pool = (key: string, protocol: Pool["protocol"] = "http"): Pool => ({
  key,
  service: { namespace: "a", name: key },
  port: "80",
  protocol,
  endpoints: [],
});
const by = (...pools: readonly Pool[]): ReadonlyMap<string, Pool> => new Map(pools.map((each) => [each.key, each]));
const many = (count: number): Pool[] => Array.from({ length: count }, (_, index) => pool(`p${index}`));

test("who has a slot keeps it, and nobody shares one", () => {
  const first = assignSlots(noSlots, by(...many(10), pool("stream", "tcp")), new Set());
  expect(new Set(first.taken.values()).size).toBe(11);
  expect(first.taken.get("stream")).toBe("t0");
  const second = assignSlots(first, by(pool("p7"), pool("new")), new Set());
  expect(second.taken.get("p7")).toBe(first.taken.get("p7"));
  expect(second.taken.get("new")).not.toBe(second.taken.get("p7"));
});

test("a slot that still ends something is not taken", () => {
  const first = assignSlots(noSlots, by(...many(3)), new Set());
  const leaving = new Set(first.taken.values());
  const second = assignSlots(first, by(pool("x")), leaving);
  expect(leaving.has(second.taken.get("x") ?? "")).toBe(false);
});

test("spares last for a while, and then there are more", () => {
  const first = assignSlots(noSlots, by(...many(100)), new Set());
  const spare = first.declared.http - 100;
  expect(spare).toBeGreaterThanOrEqual(25);
  const full = assignSlots(first, by(...many(100 + spare)), new Set());
  expect(full.declared).toEqual(first.declared);
  const more = assignSlots(full, by(...many(101 + spare)), new Set());
  expect(more.declared.http).toBeGreaterThan(100 + spare);
  for (const slot of more.taken.values()) expect(slotNames(more, "http")).toContain(slot);
});

test("a slot is free again when nothing of it is left, and not with the change that frees it", () => {
  const first = assignSlots(noSlots, by(...many(5)), new Set());
  const slot = first.taken.get("p1") ?? "";
  const rest = many(5).filter(({ key }) => key !== "p1");
  const second = assignSlots(first, by(...rest, pool("x")), new Set());
  expect([...second.taken.values()]).not.toContain(slot);
  const third = assignSlots(second, by(...rest, pool("x"), pool("y")), new Set([slot]));
  expect([...third.taken.values()]).not.toContain(slot);
  const fourth = assignSlots(third, by(...rest, pool("x"), pool("y"), pool("z")), new Set());
  expect(fourth.taken.get("z")).toBe(slot);
});
