import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { leasesIn, openAddressPool } from "./address-pool.ts";

let file: string;
beforeEach(() => (file = join(mkdtempSync(join(tmpdir(), "addresses-")), "addresses.json")));
afterEach(() => rmSync(join(file, ".."), { recursive: true, force: true }));

test("addresses go round the range, and one just freed is not used at once", () => {
  const pool = openAddressPool(file, "10.42.3.0/29");
  expect([pool.gateway, pool.prefix]).toEqual(["10.42.3.1", 29]);
  expect(["a", "b", "c"].map((id) => pool.take(id))).toEqual(["10.42.3.2", "10.42.3.3", "10.42.3.4"]);
  pool.give("a");
  expect([pool.take("d"), pool.take("e"), pool.take("f")]).toEqual(["10.42.3.5", "10.42.3.6", "10.42.3.2"]);
  expect(() => pool.take("g")).toThrow("all 5 pod addresses of this node are in use");
});

test("what was given out is known after a restart, and the round goes on", () => {
  const pool = openAddressPool(file, "10.42.3.0/24");
  pool.take("a");
  pool.take("b");
  pool.give("b");
  const again = openAddressPool(file, "10.42.3.0/24");
  expect([again.take("a"), again.take("c")]).toEqual(["10.42.3.2", "10.42.3.4"]);
  expect(leasesIn(file)).toEqual({ a: "10.42.3.2", c: "10.42.3.4" });
});

test("another range, or a damaged file, begins anew", () => {
  openAddressPool(file, "10.42.3.0/24").take("a");
  expect(openAddressPool(file, "10.42.4.0/24").holders()).toEqual([]);
  writeFileSync(file, "{");
  expect(openAddressPool(file, "10.42.3.0/24").take("b")).toBe("10.42.3.2");
});

test("a range of IPv6 is used in the same way", () => {
  const pool = openAddressPool(file, "fd00:10:42:1::/64");
  expect([pool.gateway, pool.prefix]).toEqual(["fd00:10:42:1::1", 64]);
  expect(["a", "b"].map((id) => pool.take(id))).toEqual(["fd00:10:42:1::2", "fd00:10:42:1::3"]);
});

test.each(["", "10.42.0.0", "10.42.0.256/24", "10.42.0.0/31", "10.0.0.0/7", "fd00::/127", "fd00::"])(
  "%j is not a range",
  (cidr) => {
    expect(() => openAddressPool(file, cidr)).toThrow("is not a range such as");
  },
);
