import { describe, expect, test } from "vitest";
import type { Pool } from "../../routing/index.ts";
import { FakeClock } from "../../system/index.ts";
import { defaultLimits } from "./limits.ts";
import { createUpstreams, type Upstream, type Upstreams } from "./upstream.ts";

const owner = { object: { kind: "EndpointSlice", name: "s" }, field: "endpoints" };
const none: ReadonlySet<Upstream> = new Set();

function pool(key: string, ...ports: (number | [port: number, ready: boolean])[]): Pool {
  return {
    key,
    service: { namespace: "ns", name: key },
    port: "80",
    protocol: "http",
    endpoints: ports.map((each) => {
      const [port, ready] = typeof each === "number" ? [each, true] : each;
      return { address: "192.0.2.1", port, ready, owner };
    }),
  };
}

function setUp(limits = {}) {
  const clock = new FakeClock();
  return { clock, upstreams: createUpstreams({ ...defaultLimits, ...limits }, clock) };
}

function pick(upstreams: Upstreams, tried: ReadonlySet<Upstream> = none): Upstream {
  const picked = upstreams.pick("a", tried);
  if (!picked || picked === "full") throw new Error(`picked ${picked}`);
  return picked;
}

describe("pick", () => {
  test("goes round the ready endpoints", () => {
    const { upstreams } = setUp();
    upstreams.replace([pool("a", 1, [2, false], 3, 4)]);
    expect(Array.from({ length: 7 }, () => pick(upstreams).port)).toEqual([1, 3, 4, 1, 3, 4, 1]);
  });

  test("prefers those with fewer requests under way", () => {
    const { upstreams } = setUp();
    upstreams.replace([pool("a", 1, 2, 3)]);
    const busy = pick(upstreams);
    busy.inFlight = 2;
    expect(Array.from({ length: 4 }, () => pick(upstreams).port)).toEqual([2, 3, 2, 3]);
  });

  test("leaves out those that were tried, and has nothing when all were", () => {
    const { upstreams } = setUp();
    upstreams.replace([pool("a", 1, 2)]);
    const first = pick(upstreams);
    const second = pick(upstreams, new Set([first]));
    expect(second).not.toBe(first);
    expect(upstreams.pick("a", new Set([first, second]))).toBeUndefined();
  });

  test("says when all are full", () => {
    const { upstreams } = setUp({ requestsPerEndpoint: 1 });
    upstreams.replace([pool("a", 1, 2)]);
    pick(upstreams).inFlight++;
    pick(upstreams).inFlight++;
    expect(upstreams.pick("a", none)).toBe("full");
  });

  test("after a failed connection the others come first for a while", async () => {
    const { upstreams, clock } = setUp({ avoid: 1000 });
    upstreams.replace([pool("a", 1, 2)]);
    const failed = pick(upstreams);
    failed.avoid();
    expect(Array.from({ length: 3 }, () => pick(upstreams).port)).toEqual([2, 2, 2]);
    expect(pick(upstreams, new Set([pick(upstreams)]))).toBe(failed);
    await clock.advance(1001);
    expect(new Set(Array.from({ length: 4 }, () => pick(upstreams).port))).toEqual(new Set([1, 2]));
  });

  test("knows no endpoint of a pool that is unknown or empty", () => {
    const { upstreams } = setUp();
    upstreams.replace([pool("b", [1, false])]);
    expect(upstreams.pick("a", none)).toBeUndefined();
    expect(upstreams.pick("b", none)).toBeUndefined();
  });
});

describe("changes", () => {
  test("an endpoint that stays keeps its count and connections, in whatever pool", () => {
    const { upstreams } = setUp();
    upstreams.replace([pool("a", 1)]);
    const before = pick(upstreams);
    upstreams.replace([pool("b", 1), pool("a", 2)]);
    upstreams.update([pool("a", 1)]);
    expect(pick(upstreams)).toBe(before);
  });

  test("an endpoint that no pool has is forgotten", () => {
    const { upstreams } = setUp();
    upstreams.replace([pool("a", 1)]);
    const before = pick(upstreams);
    upstreams.replace([pool("a", 2)]);
    upstreams.replace([pool("a", 1)]);
    expect(pick(upstreams)).not.toBe(before);
  });

  test("update ignores pools that are not in the model", () => {
    const { upstreams } = setUp();
    upstreams.update([pool("a", 1)]);
    expect(upstreams.pick("a", none)).toBeUndefined();
  });

  test("the turn is kept when endpoints change, so that a rollout does not send all to one", () => {
    const { upstreams } = setUp();
    upstreams.replace([pool("a", 1, 2, 3)]);
    pick(upstreams);
    upstreams.update([pool("a", 1, 2, 3, 4)]);
    expect(pick(upstreams).port).toBe(2);
  });
});
