import { describe, expect, test } from "vitest";
import { birdConfig } from "./bird/config.ts";
import { frrUnits } from "./frr/units.ts";
import type { BgpNeighbor } from "./plan.ts";
import { BgpConfigError } from "./session.ts";
import { neighbor, route, spec } from "./testing.ts";
import type { SpeakerDesired } from "./speaker.ts";

describe.each<[string, (desired: SpeakerDesired) => unknown]>([
  ["BIRD", birdConfig],
  ["FRR", frrUnits],
])("what does not fit is not said to %s", (_name, write) => {
  test.each<[string, Partial<BgpNeighbor>, string | undefined]>([
    ["an address that is none", { spec: { ...spec, peerAddress: "10.0.0.254; }" } }, undefined],
    ["an address of the other family", { source: "fd00::1" }, undefined],
    ["an AS that is none", { spec: { ...spec, peerASN: 0 } }, undefined],
    ["an AS that is a fraction", { spec: { ...spec, localASN: 1.5 } }, undefined],
    ["a port that is none", { spec: { ...spec, peerPort: 70_000 } }, undefined],
    ["a hold time that RFC 4271 does not allow", { spec: { ...spec, holdTimeSeconds: 2 } }, undefined],
    ["a BFD interval that is too short", { spec: { ...spec, bfd: { receiveIntervalMs: 1 } } }, undefined],
    ["a password that goes on as a command", {}, "a\0no router bgp"],
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
    const desired = { routerId: "10.0.0.1", neighbors: [neighbor(more)], passwordOf: () => password };
    expect(() => write(desired)).toThrow(BgpConfigError);
  });
});
