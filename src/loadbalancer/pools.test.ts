import { expect, test } from "vitest";
import { parseIp } from "../kube/index.ts";
import { createClaimBook } from "./claim-book.ts";
import { flagPool, inOrder, isIn as isInRange, parsePools, PoolError, poolOf, readPool, sizeOf } from "./pools.ts";

const isIn = (pool: string, address: string) => poolOf([flagPool([pool])], parseIp(address)!) !== undefined;

test.each([
  ["10.97.0.0/24", "10.97.0.1", "10.97.0.254", "10.97.0.0", "10.97.0.255"],
  ["10.97.0.0/31", "10.97.0.0", "10.97.0.1", "10.96.255.255", "10.97.0.2"],
  ["10.97.0.9/32", "10.97.0.9", "10.97.0.9", "10.97.0.8", "10.97.0.10"],
  ["10.97.0.9", "10.97.0.9", "10.97.0.9", "10.97.0.8", "10.97.0.10"],
  ["10.97.0.0-10.97.1.255", "10.97.0.0", "10.97.1.255", "10.96.255.255", "10.97.2.0"],
  ["10.97.0.5 - 10.97.0.7", "10.97.0.5", "10.97.0.7", "10.97.0.4", "10.97.0.8"],
  ["fd00::/120", "fd00::", "fd00::ff", "fcff::", "fd00::100"],
])("%s goes from %s to %s", (pool, first, last, before, after) => {
  expect([before, first, last, after].map((address) => isIn(pool, address))).toEqual([false, true, true, false]);
});

test.each([
  "",
  "10.97.0.0/33",
  "10.97.0.1/24",
  "10.97.0.300",
  "010.97.0.1",
  "10.97.0.9-10.97.0.1",
  "10.97.0.1-fd00::1",
  "10.97.0.1-10.97.0.2-10.97.0.3",
  "a/b",
  "0.0.0.0/0",
  "224.0.0.0/24",
  "255.255.255.0-255.255.255.255",
  "::/64",
  "ff02::1",
])("%j is no pool", (text) => {
  expect(() => parsePools([text])).toThrow(PoolError);
});

test("pools that share an address are refused, naming both", () => {
  expect(() => parsePools(["10.97.0.0/24", "10.97.0.200-10.97.1.5"])).toThrow("10.97.0.0/24 and 10.97.0.200-10.97.1.5");
  expect(parsePools(["10.97.0.0/24", "10.97.1.0/24", "fd00::/64"])).toHaveLength(3);
});

test("the lowest free address is taken, and one that is given back comes before those above it", () => {
  const ranges = parsePools(["10.97.0.0/30", "10.98.0.1-10.98.0.2"]);
  const book = createClaimBook();
  const next = () => {
    const address = ranges.map((range) => book.free(range, () => false)).find((found) => found !== undefined);
    if (address) book.set({ address });
    return address;
  };
  expect(Array.from({ length: 5 }, next)).toEqual(["10.97.0.1", "10.97.0.2", "10.98.0.1", "10.98.0.2", undefined]);
  book.delete("10.97.0.2");
  book.delete("10.97.0.1");
  expect([next(), next(), next()]).toEqual(["10.97.0.1", "10.97.0.2", undefined]);
});

test("the first address of an IPv6 block is all routers': it is of the pool, but not given to anybody", () => {
  const first = (text: string) => createClaimBook().free(parsePools([text])[0]!, () => false);
  expect(["fd00::/120", "fd00::/126", "fd00::/127", "fd00::/128", "fd00::-fd00::9"].map(first)).toEqual([
    "fd00::1",
    "fd00::1",
    "fd00::",
    "fd00::",
    "fd00::",
  ]);
  const [range] = parsePools(["fd00::/126"]);
  expect(isInRange(range!, parseIp("fd00::")!)).toBe(true);
  const book = createClaimBook();
  const given = Array.from({ length: 4 }, () => {
    const address = book.free(range!, () => false);
    if (address) book.set({ address });
    return address;
  });
  expect(given).toEqual(["fd00::1", "fd00::2", "fd00::3", undefined]);
  book.set({ address: "fd00::" });
  book.delete("fd00::");
  expect(book.free(range!, () => false)).toBeUndefined();
});

test("addresses that end in 0 or 255 can be left out, and are not counted", () => {
  const [range] = readPool("a", { addresses: ["10.97.0.250-10.97.2.3"], avoidBuggyIPs: true }).ranges;
  const all = Array.from({ length: 520 }, (_, i) => parseIp("10.97.0.250")!.value + BigInt(i));
  const inside = all.filter((value) => isInRange(range!, { family: "IPv4", value }));
  expect(sizeOf(range!)).toBe(BigInt(inside.length));
  expect(isInRange(range!, parseIp("10.97.1.0")!)).toBe(false);
});

test("pools made for some come before those for all, then lower numbers, none last", () => {
  const of = (name: string, spec: object) => readPool(name, { addresses: ["10.97.0.1"], ...spec });
  const pools = [of("z", {}), of("b", { priority: 9 }), of("a", { priority: 20 }), of("y", { namespaces: ["shop"] })];
  expect(inOrder(pools).map(({ name }) => name)).toEqual(["y", "b", "a", "z"]);
});
