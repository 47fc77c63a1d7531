import { describe, expect, test } from "vitest";
import { arrange, number } from "./arrange.ts";

const arranged = (previous: string, wanted: string) => arrange(previous.split(""), wanted.split(""), String).join("");

describe("slots", () => {
  test.each([
    ["", "abc", "abc", "new ones in order"],
    ["abc", "cab", "abc", "nobody moves without need"],
    ["abcd", "acd", "adc", "the last one moves into the hole"],
    ["abcd", "abc", "abc", "the last one goes: nobody moves"],
    ["abc", "abcd", "abcd", "one more is added at the end"],
    ["abc", "axc", "axc", "one for another takes its place"],
    ["abc", "", "", "all go"],
    ["ab", "cd", "cd", "all are others"],
  ])("%s then %s is %s: %s", (previous, wanted, expected) => {
    expect(arranged(previous, wanted)).toBe(expected);
  });

  test("removing any one of n changes at most two slots", () => {
    const all = "abcdefgh".split("");
    for (const gone of all) {
      const next = arranged("abcdefgh", all.filter((one) => one !== gone).join(""));
      const changed = all.filter((one, i) => next[i] !== one);
      expect(changed.length).toBeLessThanOrEqual(2);
    }
  });
});

describe("numbers", () => {
  test("names keep their numbers, new ones get the lowest that is free", () => {
    const first = number(new Map(), ["a", "b", "c"]);
    expect([...first]).toEqual([
      ["a", 1],
      ["b", 2],
      ["c", 3],
    ]);
    expect([...number(first, ["c", "d", "a"])].sort()).toEqual([
      ["a", 1],
      ["c", 3],
      ["d", 2],
    ]);
  });
});
