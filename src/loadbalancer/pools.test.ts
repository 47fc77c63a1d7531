import { expect, test } from "vitest";
import { parseIp } from "../kube/index.ts";
import { firstFree, parsePools, PoolError, poolOf } from "./pools.ts";

const isIn = (pool: string, address: string) => poolOf(parsePools([pool]), parseIp(address)!) !== undefined;

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
])("%j is no pool", (text) => {
  expect(() => parsePools([text])).toThrow(PoolError);
});

test("pools that share an address are refused, naming both", () => {
  expect(() => parsePools(["10.97.0.0/24", "10.97.0.200-10.97.1.5"])).toThrow("10.97.0.0/24 and 10.97.0.200-10.97.1.5");
  expect(parsePools(["10.97.0.0/24", "10.97.1.0/24", "fd00::/64"])).toHaveLength(3);
});

test("the lowest free address is taken, of the first pool that has one", () => {
  const pools = parsePools(["10.97.0.0/30", "fd00::/126", "10.98.0.1-10.98.0.2"]);
  const taken = new Set<string>();
  const next = (family: "IPv4" | "IPv6") => {
    const address = firstFree(pools, family, (one) => taken.has(one));
    if (address) taken.add(address);
    return address;
  };
  expect(Array.from({ length: 5 }, () => next("IPv4"))).toEqual([
    "10.97.0.1",
    "10.97.0.2",
    "10.98.0.1",
    "10.98.0.2",
    undefined,
  ]);
  expect([next("IPv6"), next("IPv6")]).toEqual(["fd00::", "fd00::1"]);
});
