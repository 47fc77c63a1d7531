import { describe, expect, test } from "vitest";
import { createSizeWatch } from "./table-size.ts";

describe("the rules of the older iptables are read", () => {
  let size: string | undefined;
  let reads: number;
  let there: boolean;
  const start = (first: string | undefined) => {
    [size, reads, there] = [first, 0, true];
    const watch = createSizeWatch(() => size);
    const look = () =>
      watch.isDamaged(() => {
        reads++;
        return Promise.resolve(there);
      });
    const change = (to: string) =>
      watch.ownChange(() => {
        size = to;
        return Promise.resolve();
      });
    return { look, change };
  };

  test("not while it changes them, and once when it has rested", async () => {
    const { look, change } = start("0");
    for (const to of ["1", "2", "3"]) {
      await change(to);
      expect(await look()).toBe(false);
    }
    expect(reads).toBe(0);
    for (let i = 0; i < 100; i++) expect(await look()).toBe(false);
    expect(reads).toBe(1);
  });

  test("when they have another size, and again only when that changes once more", async () => {
    const { look, change } = start("0");
    await change("1");
    size = "somebody's";
    for (let i = 0; i < 5; i++) expect(await look()).toBe(false);
    expect(reads).toBe(1);
    size = "flushed";
    there = false;
    expect(await look()).toBe(true);
    expect(await look()).toBe(true);
    await change("1");
    there = true;
    expect(await look()).toBe(false);
  });

  test("when somebody has changed them just before a change of ours", async () => {
    const { look, change } = start("0");
    await change("1");
    size = "flushed";
    there = false;
    await change("2");
    expect(await look()).toBe(true);
  });

  test("at every look where the kernel does not tell their size", async () => {
    const { look, change } = start(undefined);
    await change("1");
    size = undefined;
    for (let i = 0; i < 3; i++) await look();
    expect(reads).toBe(3);
  });
});
