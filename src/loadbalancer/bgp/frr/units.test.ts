import { describe, expect, test } from "vitest";
import { parseCommunity } from "../community.ts";
import type { BgpNeighbor, BgpRoute } from "../plan.ts";
import { BgpConfigError, sessionKey } from "../session.ts";
import { neighbor, route, spec } from "../testing.ts";
import { frrChanges, frrUnits } from "./units.ts";

const other: BgpRoute = { ...route, prefix: "192.0.2.11/32" };
const write = (...neighbors: BgpNeighbor[]) =>
  frrUnits({ routerId: "10.0.0.1", neighbors, passwordOf: () => undefined });
const text = (...neighbors: BgpNeighbor[]) => write(...neighbors).flatMap(({ set }) => set);
const said = (before: readonly BgpNeighbor[], after: readonly BgpNeighbor[]) =>
  frrChanges(write(...before), write(...after)).flatMap((change) => change.said.map((one) => one.text.trim()));
const view = `router bgp 64512 view ${sessionKey("tor")}`;

describe("FRR's configuration", () => {
  test("a route has its attributes", () => {
    const communities = ["64512:1", "large:64512:1:2"].flatMap((one) => parseCommunity(one) ?? []);
    const lines = text(neighbor({ routes: [{ ...route, communities, localPreference: 200 }] }));
    const from = lines.findIndex((line) => line.startsWith("route-map a_"));
    expect(lines.slice(from + 1, from + 4)).toEqual([
      " set local-preference 200",
      " set community 64512:1",
      " set large-community 64512:1:2",
    ]);
    const [, name] = (lines[from] ?? "").split(" ");
    expect(lines).toContain(`  network 192.0.2.10/32 route-map ${name}`);
  });

  test("a fallback has a longer path for others' routers, and a lower preference only for those of the same AS", () => {
    const fallback = [{ ...route, isFallback: true }];
    expect(text(neighbor({ routes: fallback }))).toContain(" set as-path prepend 64512 64512 64512");
    const internal = text(neighbor({ routes: fallback, spec: { ...spec, peerASN: 64_512 } }));
    expect(internal).toContain(" set local-preference 50");
    expect(internal.join()).not.toContain("prepend");
  });

  test("communities that keep a route from being told are said by a tag, and added when it is told", () => {
    const communities = ["64512:1", "no-export", "no-export-subconfed"].flatMap((one) => parseCommunity(one) ?? []);
    const lines = text(neighbor({ routes: [{ ...route, communities }] }));
    expect(lines).toContain(" set community 64512:1");
    expect(lines).toContain(" set tag 5");
    const from = lines.indexOf(" match tag 5");
    expect(lines[from + 1]).toBe(" set community 65535:65281 65535:65283 additive");
    expect(lines).toContain("  neighbor 10.0.0.254 route-map told out");
  });

  test("nothing is taken from routers", () => {
    expect(text(neighbor())).toContain("  neighbor 10.0.0.254 route-map nothing in");
  });

  test.each(["a|b", "a b", " a", "a "])("the password %j is refused: FRR would read another", (password) => {
    const desired = { routerId: "10.0.0.1", neighbors: [neighbor()], passwordOf: () => password };
    expect(() => frrUnits(desired)).toThrow(BgpConfigError);
  });
});

describe("changes of FRR's configuration", () => {
  test("what is the same is not said again", () => {
    expect(said([neighbor()], [neighbor()])).toEqual([]);
  });

  test("another route is told before the one that goes is taken back, and no session is touched", () => {
    const commands = said([neighbor()], [neighbor({ routes: [other] })]);
    expect(commands.filter((one) => one.includes("network"))).toEqual([
      expect.stringMatching(/^network 192\.0\.2\.11\/32 route-map a_/),
      "no network 192.0.2.10/32",
    ]);
    expect(commands.join()).not.toMatch(/neighbor|no router/);
  });

  test("other attributes are there before the route has them, and those before go last", () => {
    const commands = said([neighbor()], [neighbor({ routes: [{ ...route, localPreference: 7 }] })]);
    const kinds = commands.flatMap((one) => /^(?:no )?(?:route-map|network)/.exec(one)?.[0] ?? []);
    expect(kinds).toEqual(["route-map", "network", "no route-map"]);
  });

  test("a session that is another is ended and made anew with its routes; the others go on", () => {
    const second = neighbor({ name: "second", spec: { ...spec, peerAddress: "10.0.0.253" } });
    const changed = neighbor({ spec: { ...spec, holdTimeSeconds: 9 } });
    const commands = said([neighbor(), second], [changed, second]);
    expect(commands.slice(0, 5)).toEqual([
      view,
      "neighbor 10.0.0.254 shutdown",
      "no neighbor 10.0.0.254",
      "exit",
      `no ${view}`,
    ]);
    expect(commands).toContain("neighbor 10.0.0.254 timers 3 9");
    expect(commands.filter((one) => one.startsWith("network"))).toHaveLength(1);
    expect(commands.join()).not.toContain("10.0.0.253");
  });

  test("a peer that goes takes its session, its attributes and its BFD along", () => {
    expect(said([neighbor({ spec: { ...spec, bfd: {} } })], []).slice(4)).toEqual([
      `no ${view}`,
      expect.stringMatching(/^no route-map a_/),
      "bfd",
      expect.stringMatching(/^no profile f_/),
      "exit",
    ]);
  });
});
