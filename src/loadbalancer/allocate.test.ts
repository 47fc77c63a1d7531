import { describe, expect, test } from "vitest";
import type { Service } from "../kube/index.ts";
import { allocate } from "./allocate.ts";
import { createClaimBook } from "./claim-book.ts";
import { flagPool, type Pool } from "./pools.ts";
import { addressAnnotations, requestOf } from "./request.ts";

const pools = [flagPool(["10.97.0.1-10.97.0.3", "fd00::1-fd00::2"])];
const me = { service: "shop/web", uid: "u1" };
const other = { service: "shop/other", uid: "u2" };

function service(spec: object = {}, annotations: Record<string, string> = {}): Service {
  const metadata = { namespace: "shop", name: "web", uid: "u1", annotations };
  return { apiVersion: "v1", kind: "Service", metadata, spec: { type: "LoadBalancer", ...spec } };
}

const asks = (address: string) => service({}, { "fairlead.dev/address": address });

function decide(wants: Service, claims: Record<string, typeof me> = {}, from: readonly Pool[] = pools) {
  const book = createClaimBook();
  for (const [address, { service: key, uid }] of Object.entries(claims)) {
    const [namespace = "", name = ""] = key.split("/");
    book.set({ address, owners: [{ kind: "Service", namespace, name, uid, ports: [] }] });
  }
  const { addresses, problem } = allocate(requestOf(wants), { book, pools: from, foreign: () => undefined });
  return problem ? [addresses.join(" "), problem.reason, problem.message] : addresses.join(" ");
}

describe("a Service", () => {
  test("gets the lowest free address", () => {
    expect(decide(service())).toBe("10.97.0.1");
    expect(decide(service(), { "10.97.0.1": other })).toBe("10.97.0.2");
  });

  test("keeps what it has, also when the pools have changed", () => {
    expect(decide(service(), { "10.97.0.3": me, "10.97.0.1": other })).toBe("10.97.0.3");
    expect(decide(service(), { "192.0.2.9": me })).toBe("192.0.2.9");
    expect(decide(service(), { "10.97.0.3": me }, [])).toBe("10.97.0.3");
  });

  test("has no claim to what a Service of its name had before", () => {
    expect(decide(service(), { "10.97.0.1": { ...me, uid: "old" } })).toBe("10.97.0.2");
  });

  test("waits when all are taken, or when there is no pool", () => {
    const all = { "10.97.0.1": other, "10.97.0.2": other, "10.97.0.3": other };
    expect(decide(service(), all)).toMatchObject(["", "PoolExhausted", expect.stringContaining("10.97.0.1-10.97.0.3")]);
    expect(decide(service({ ipFamilies: ["IPv6"] }), {}, [flagPool(["10.97.0.0/24"])])).toEqual([
      "",
      "NoPool",
      "no pool has IPv6 addresses",
    ]);
  });
});

describe("a Service that asks for an address", () => {
  test("gets it, also in place of another", () => {
    expect(decide(asks("10.97.0.3"))).toBe("10.97.0.3");
    expect(decide(asks("10.97.0.3"), { "10.97.0.1": me })).toBe("10.97.0.3");
    expect(decide(asks("10.97.0.3"), { "10.97.0.3": me })).toBe("10.97.0.3");
    expect(decide(asks("10.97.0.3"), { "10.97.0.1": me, "10.97.0.3": me })).toBe("10.97.0.3");
  });

  test("gets the first of an IPv6 block, which is given to nobody else, and keeps it when it asks no more", () => {
    const block = [flagPool(["fd00::/126"])];
    const six = { ipFamilies: ["IPv6"] };
    expect(decide(service(six), {}, block)).toBe("fd00::1");
    expect(decide(service(six, { "fairlead.dev/address": "fd00::" }), {}, block)).toBe("fd00::");
    expect(decide(service(six), { "fd00::": me }, block)).toBe("fd00::");
    const others = { "fd00::1": other, "fd00::2": other, "fd00::3": other };
    expect(decide(service(six), others, block)).toMatchObject(["", "PoolExhausted", expect.anything()]);
    // Kept for one of the same name, it goes to nobody else when all others are taken.
    const book = createClaimBook();
    const reserve = (name: string) =>
      book.set({ address: "fd00::", reservedFor: { kind: "Service", namespace: "shop", name } });
    for (const [address, { uid }] of Object.entries(others))
      book.set({ address, owners: [{ kind: "Service", namespace: "shop", name: "other", uid, ports: [] }] });
    const given = () => allocate(requestOf(service(six)), { book, pools: block, foreign: () => undefined }).addresses;
    reserve("former");
    expect(given()).toEqual([]);
    reserve("web");
    expect(given()).toEqual(["fd00::"]);
  });

  test("keeps its own and is told why when it cannot have that", () => {
    const field = "metadata.annotations[fairlead.dev/address]";
    const taken = `${field}: 10.97.0.3 is held by Service shop/other`;
    expect(decide(asks("10.97.0.3"), { "10.97.0.3": other })).toEqual(["", "AddressTaken", taken]);
    expect(decide(asks("10.97.0.3"), { "10.97.0.3": other, "10.97.0.1": me })).toEqual([
      "10.97.0.1",
      "AddressTaken",
      taken,
    ]);
    const outside = `${field}: 192.0.2.1 is in none of the pools 10.97.0.1-10.97.0.3, fd00::1-fd00::2`;
    expect(decide(asks("192.0.2.1"))).toEqual(["", "OutsidePools", outside]);
    expect(decide(asks("192.0.2.1"), { "10.97.0.1": me })).toEqual(["10.97.0.1", "OutsidePools", outside]);
  });

  test.each(addressAnnotations)("may do so with %s", (annotation) => {
    expect(decide(service({ loadBalancerIP: "10.97.0.1" }, { [annotation]: " 10.97.0.2 " }))).toBe("10.97.0.2");
  });

  test("may do so with spec.loadBalancerIP", () => {
    expect(decide(service({ loadBalancerIP: "10.97.0.2" }))).toBe("10.97.0.2");
    expect(decide(service({ loadBalancerIP: "10.98.0.2" }))).toMatchObject([
      "",
      "OutsidePools",
      expect.stringMatching(/^spec.loadB/),
    ]);
  });

  test.each([
    ["10.97.0.300", '"10.97.0.300" is not an IP address'],
    ["web.example.com", '"web.example.com" is not an IP address'],
    ["10.97.0.1,10.97.0.2", "two addresses of IPv4; ask for one of each family"],
    ["fd00::1", "fd00::1 is IPv6, but the Service has only IPv4"],
    ["10.97.0.1,", '"" is not an IP address'],
  ])("%s is refused", (text, why) => {
    expect(() => requestOf(asks(text))).toThrow(`metadata.annotations[fairlead.dev/address]: ${why}`);
  });
});

describe("two families", () => {
  const dual = (ipFamilyPolicy: string, annotations = {}) =>
    service({ ipFamilies: ["IPv4", "IPv6"], ipFamilyPolicy }, annotations);
  const onlyV4 = [flagPool(["10.97.0.1-10.97.0.3"])];

  test("get an address each", () => {
    expect(decide(dual("RequireDualStack"))).toBe("10.97.0.1 fd00::1");
    expect(decide(dual("RequireDualStack", { "fairlead.dev/address": "FD00::2,10.97.0.2" }))).toBe("10.97.0.2 fd00::2");
    expect(decide(dual("RequireDualStack", { "fairlead.dev/address": "fd00::2" }))).toBe("10.97.0.1 fd00::2");
  });

  test("get both or none where both are required, but lose nothing", () => {
    expect(decide(dual("RequireDualStack"), {}, onlyV4)).toEqual(["", "NoPool", "no pool has IPv6 addresses"]);
    expect(decide(dual("RequireDualStack"), { "10.97.0.2": me }, onlyV4)).toEqual([
      "10.97.0.2",
      "NoPool",
      "no pool has IPv6 addresses",
    ]);
    expect(decide(dual("PreferDualStack"), {}, onlyV4)).toBe("10.97.0.1");
    expect(decide(dual("PreferDualStack"), {}, [])).toEqual(["", "NoPool", "no pool has IPv4 addresses"]);
  });

  test("a family that the Service has no more is given back", () => {
    expect(decide(service(), { "10.97.0.2": me, "fd00::1": me })).toBe("10.97.0.2");
  });
});
