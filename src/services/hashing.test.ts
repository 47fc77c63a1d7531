import { describe, expect, test } from "vitest";
import type { ServiceEndpoint } from "./endpoints.ts";
import { bucketOf, bucketsOf, endpointFor } from "./hashing.ts";

const endpoint = (i: number, weight?: number): ServiceEndpoint => ({
  address: `10.42.0.${i}`,
  port: 8080,
  ready: true,
  serving: true,
  terminating: false,
  nodeHints: [],
  zoneHints: [],
  slice: "default/web",
  ...(weight === undefined ? {} : { weight }),
});
const clients = Array.from({ length: 4_000 }, (_, i) => `10.${i % 7}.${(i >> 8) & 255}.${i & 255}`);
const shares = (endpoints: readonly ServiceEndpoint[]): number[] => {
  const counts = endpoints.map(() => 0);
  for (const client of clients) {
    const i = endpoints.indexOf(endpointFor(client, endpoints) ?? endpoint(0));
    counts[i] = (counts[i] ?? 0) + 1;
  }
  return counts.map((count) => count / clients.length);
};

describe("consistent hashing", () => {
  const five = [1, 2, 3, 4, 5].map((i) => endpoint(i));

  test("a bucket follows from the address alone, in whatever form, and finer buckets are parts of coarser ones", () => {
    // That they are the kernel's is tested with packets: test/proxy/extras.test.ts.
    for (const client of clients.slice(0, 200)) expect(bucketOf(client, 8192) >> 3).toBe(bucketOf(client, 1024));
    expect(new Set(clients.map((client) => bucketOf(client, 1024))).size).toBeGreaterThan(1_000);
    expect(bucketOf("fd00::1", 1024)).toBe(bucketOf("fd00:0:0:0:0:0:0:1", 1024));
    expect(bucketOf("fd00::1", 8192)).not.toBe(bucketOf("fd00::1:0", 8192));
  });

  test("clients are shared out nearly evenly, or by weight", () => {
    for (const share of shares(five)) expect(Math.abs(share - 0.2)).toBeLessThan(0.05);
    const [heavy = 0, ...light] = shares([endpoint(1, 4), endpoint(2), endpoint(3)]);
    expect(Math.abs(heavy - 4 / 6)).toBeLessThan(0.06);
    for (const share of light) expect(Math.abs(share - 1 / 6)).toBeLessThan(0.05);
  });

  test("when an endpoint goes, its clients move and nobody else; the order of endpoints does not matter", () => {
    const four = five.filter((one) => one !== five[2]);
    const backwards = [...five].reverse();
    for (const client of clients) {
      const before = endpointFor(client, five);
      expect(endpointFor(client, backwards)).toBe(before);
      if (before !== five[2]) expect(endpointFor(client, four)).toBe(before);
    }
  });

  test("many endpoints all get clients; one and none are as they are", () => {
    const many = Array.from({ length: 500 }, (_, i) => ({ ...endpoint(1), address: `10.43.${i >> 8}.${i & 255}` }));
    expect(new Set(bucketsOf(many)).size).toBe(500);
    expect(endpointFor("10.0.0.1", [])).toBeUndefined();
    expect(endpointFor("10.0.0.1", five.slice(0, 1))).toBe(five[0]);
  });
});
