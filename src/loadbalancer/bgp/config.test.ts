import { describe, expect, test } from "vitest";
import { parseCommunity } from "./community.ts";
import { birdConfig, BgpConfigError, protocolName } from "./config.ts";
import type { BgpPeerSpec } from "./definitions.ts";
import type { BgpNeighbor, BgpRoute } from "./plan.ts";

const spec: BgpPeerSpec = { peerAddress: "10.0.0.254", peerASN: 65_000, localASN: 64_512 };
const route: BgpRoute = { prefix: "192.0.2.10/32", communities: [], isFallback: false };
const neighbor = (more: Partial<BgpNeighbor> = {}): BgpNeighbor => ({
  name: "tor",
  spec,
  family: "IPv4",
  source: "10.0.0.1",
  routes: [route],
  ...more,
});
const write = (one: BgpNeighbor, password?: string) => birdConfig("10.0.0.1", [one], () => password);
const routes = (one: BgpNeighbor) => write(one).get(`routes-${protocolName("tor")}.conf`);

describe("BIRD's configuration", () => {
  test("a change of routes changes one file only", () => {
    const before = write(neighbor());
    const after = write(neighbor({ routes: [] }));
    const changed = [...before].filter(([name, text]) => after.get(name) !== text).map(([name]) => name);
    expect(changed).toEqual([`routes-${protocolName("tor")}.conf`]);
  });

  test("a route has its attributes", () => {
    const communities = ["64512:1", "large:64512:1:2"].flatMap((text) => parseCommunity(text) ?? []);
    const one = { ...route, communities, localPreference: 200 };
    expect(routes(neighbor({ routes: [one] }))).toBe(
      "route 192.0.2.10/32 blackhole { bgp_local_pref = 200; bgp_community.add((64512, 1)); bgp_large_community.add((64512, 1, 2)); };\n",
    );
  });

  test("a fallback has a longer path for others' routers, and a lower preference only for those of the same AS", () => {
    const fallback = [{ ...route, isFallback: true }];
    expect(routes(neighbor({ routes: fallback }))?.match(/prepend\(64512\)/g)).toHaveLength(3);
    const internal = routes(neighbor({ routes: fallback, spec: { ...spec, peerASN: 64_512 } }));
    expect(internal).toContain("bgp_local_pref = 50;");
    expect(internal).not.toContain("prepend");
  });

  test.each<[string, Partial<BgpNeighbor>, string | undefined]>([
    ["an address that is none", { spec: { ...spec, peerAddress: "10.0.0.254; }" } }, undefined],
    ["an address of the other family", { source: "fd00::1" }, undefined],
    ["an AS that is none", { spec: { ...spec, peerASN: 0 } }, undefined],
    ["an AS that is a fraction", { spec: { ...spec, localASN: 1.5 } }, undefined],
    ["a port that is none", { spec: { ...spec, peerPort: 70_000 } }, undefined],
    ["a hold time that RFC 4271 does not allow", { spec: { ...spec, holdTimeSeconds: 2 } }, undefined],
    ["a BFD interval that is too short", { spec: { ...spec, bfd: { receiveIntervalMs: 1 } } }, undefined],
    ["a password that ends the text", {}, 'a"; multihop; password "b'],
    ["a password of two lines", {}, "a\nb"],
    ["a password that is too long", {}, "a".repeat(81)],
    ["no password where one is needed", {}, ""],
    ["a prefix that is none", { routes: [{ ...route, prefix: "192.0.2.10/32 via 1.2.3.4" }] }, undefined],
    ["a prefix with bits beyond its length", { routes: [{ ...route, prefix: "192.0.2.10/24" }] }, undefined],
    ["a prefix of the other family", { routes: [{ ...route, prefix: "fd00::/64" }] }, undefined],
    ["a preference that is none", { routes: [{ ...route, localPreference: -1 }] }, undefined],
    [
      "a community that is none",
      { routes: [{ ...route, communities: [{ kind: "standard" as const, parts: [1, 65_536] }] }] },
      undefined,
    ],
  ])("%s is refused", (_, more, password) => {
    expect(() => write(neighbor(more), password)).toThrow(BgpConfigError);
  });
});

test.each([
  ["64512:100", [64_512, 100]],
  ["no-export", [65_535, 65_281]],
  ["graceful-shutdown", [65_535, 0]],
  ["large:4200000000:1:2", [4_200_000_000, 1, 2]],
  ["65536:1", undefined],
  ["1", undefined],
  ["1:2:3", undefined],
  ["large:1:2", undefined],
  ["large:1:2:4294967296", undefined],
  ["01:2", undefined],
  ["1:-2", undefined],
  ["toString", undefined],
  ["", undefined],
])("community %j", (text, parts) => {
  expect(parseCommunity(text)?.parts).toEqual(parts);
});
