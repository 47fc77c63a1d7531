import { describe, expect, test } from "vitest";
import { parseCommunity } from "../community.ts";
import type { BgpNeighbor } from "../plan.ts";
import { BgpConfigError, sessionKey } from "../session.ts";
import { neighbor, route, spec } from "../testing.ts";
import { birdConfig } from "./config.ts";

const write = (one: BgpNeighbor, password?: string) =>
  birdConfig({ routerId: "10.0.0.1", neighbors: [one], passwordOf: () => password });
const routes = (one: BgpNeighbor) => write(one).get(`routes-${sessionKey("tor")}.conf`);

describe("BIRD's configuration", () => {
  test("a change of routes changes one file only", () => {
    const before = write(neighbor());
    const after = write(neighbor({ routes: [] }));
    const changed = [...before].filter(([name, text]) => after.get(name) !== text).map(([name]) => name);
    expect(changed).toEqual([`routes-${sessionKey("tor")}.conf`]);
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

  test("a password that ends the text is refused", () => {
    expect(() => write(neighbor(), 'a"; multihop; password "b')).toThrow(BgpConfigError);
  });
});
