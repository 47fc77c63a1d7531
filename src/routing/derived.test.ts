import { expect, test } from "vitest";
import { changedKeys, derive, gather } from "./derived.ts";
import { numbers } from "./testing.ts";

test("what differs between two maps is known, whichever of them was made of which", () => {
  const random = numbers(1);
  const values = [{ of: "a" }, { of: "b" }, undefined];
  const maps: ReadonlyMap<string, object>[] = [new Map()];
  const some = gather<string, object, string>((value) => (value === values[0] ? "first" : undefined));
  for (let step = 0; step < 500; step++) {
    const before = maps[Math.floor(random() * maps.length)] ?? new Map<string, object>();
    const changes = Array.from(
      { length: Math.floor(random() * 4) },
      () => [`k${Math.floor(random() * 6)}`, values[Math.floor(random() * values.length)]] as const,
    );
    const after = derive(before, changes);
    const expected = new Map(before);
    for (const [key, value] of changes)
      if (value) expected.set(key, value);
      else expected.delete(key);
    expect([...after].sort()).toEqual([...expected].sort());
    maps.push(after);
    const other = maps[Math.floor(random() * maps.length)] ?? before;
    for (const [one, two] of [
      [before, after],
      [after, before],
      [other, after],
    ] as const) {
      const differ = ["k0", "k1", "k2", "k3", "k4", "k5"].filter((key) => one.get(key) !== two.get(key));
      for (const key of differ) expect(changedKeys(one, two)).toContain(key);
    }
    if (random() < 0.7)
      expect([...some(after).keys()].sort()).toEqual(
        [...after].flatMap(([key, value]) => (value === values[0] ? [key] : [])).sort(),
      );
  }
});

test("it costs what differs", () => {
  let made = 0;
  const lengths = gather<string, string, number>((text) => {
    made++;
    return text.length;
  });
  const many = new Map(Array.from({ length: 1000 }, (_, index) => [`k${index}`, "x"]));
  expect(lengths(many).size).toBe(1000);
  const after = derive(many, [
    ["k1", "long"],
    ["k2", undefined],
    ["k3", "x"],
  ]);
  expect(changedKeys(many, after)).toEqual(["k1", "k2"]);
  made = 0;
  expect([lengths(after).get("k1"), lengths(after).size, made]).toEqual([4, 999, 1]);
  expect(derive(after, [["k1", "long"]])).toBe(after);
});
