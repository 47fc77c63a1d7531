import { describe, expect, test } from "vitest";
import { readVips } from "./config-map.ts";

const target = (name: string, method: "NAT" | "PROXY" = "NAT") => ({ namespace: "default", name, method });

describe("what the original documents", () => {
  test.each([
    ["default/echoheaders", [target("echoheaders")]],
    ["default/echoheaders:NAT", [target("echoheaders")]],
    ["default/echoheaders:PROXY", [target("echoheaders", "PROXY")]],
    ["", []],
  ])("%j", (value, targets) => {
    expect(readVips({ "10.4.0.50": value })).toEqual({
      vips: [{ address: "10.4.0.50", key: "10.4.0.50", targets }],
      faults: [],
    });
  });
});

test("beyond it: several Services at one address, and IPv6", () => {
  const { vips, faults } = readVips({ "10.4.0.50": "default/a, default/b:NAT\n", "fd00--10": "default/c" });
  expect(faults).toEqual([]);
  expect(vips.map(({ address, targets }) => [address, targets.map(({ name }) => name)])).toEqual([
    ["10.4.0.50", ["a", "b"]],
    ["fd00::10", ["c"]],
  ]);
});

test.each([
  ["10.4.0.50", "default/echoheaders:DR", "UnsupportedMethod", "IPVS"],
  // The original took any suffix that has a known one in it.
  ["10.4.0.50", "default/echoheaders:NATTY", "UnsupportedMethod", "NATTY"],
  ["10.4.0.50", "default/echoheaders:nat", "UnsupportedMethod", "nat"],
  ["10.4.0.50", "default/echoheaders:", "UnsupportedMethod", "no method"],
  ["10.4.0.50", "default/a:NAT default/b:PROXY", "UnsupportedMethod", "at once"],
  ["10.4.0.50", "echoheaders", "InvalidTarget", "NAMESPACE/SERVICE"],
  ["10.4.0.50", "default/echo/headers", "InvalidTarget", "NAMESPACE/SERVICE"],
  ["10.4.0.50", "../x", "InvalidTarget", "NAMESPACE/SERVICE"],
  ["10.4.0.50", "default/x\n}\nvirtual_server", "InvalidTarget", "NAMESPACE/SERVICE"],
  ["10.4.0.500", "default/a", "InvalidAddress", "not an address"],
  ["010.4.0.5", "default/a", "InvalidAddress", "not an address"],
  ["10.4.0.50.", "default/a", "InvalidAddress", "not an address"],
  ["10.4.0", "default/a", "InvalidAddress", "not an address"],
  ["0.0.0.0", "default/a", "InvalidAddress", "not an address"],
  ["127.0.0.1", "default/a", "InvalidAddress", "not an address"],
  ["224.0.0.18", "default/a", "InvalidAddress", "not an address"],
  ["255.255.255.255", "default/a", "InvalidAddress", "not an address"],
  ["fe80--1", "default/a", "InvalidAddress", "not an address"],
  ["vip", "default/a", "InvalidAddress", "not an address"],
])("%j: %j is a fault, and harms no other", (key, value, reason, words) => {
  const { vips, faults } = readVips({ [key]: value, "10.4.0.60": "default/good" });
  expect(vips.map(({ address }) => address)).toEqual(["10.4.0.60"]);
  expect(faults).toMatchObject([{ key, reason }]);
  expect(faults[0]?.message).toContain(words);
});

test("one address in two spellings is told", () => {
  const { vips, faults } = readVips({ "fd00--10": "default/a", fd00_0_0_0_0_0_0_10: "default/b" });
  expect(vips).toHaveLength(1);
  expect(faults).toMatchObject([{ reason: "DuplicateAddress" }]);
});

test("so many, and no more", () => {
  const data = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`10.5.${i >> 8}.${i & 255}`, ""]));
  const { vips, faults } = readVips(data);
  expect([vips.length, faults.length]).toEqual([256, 44]);
});
