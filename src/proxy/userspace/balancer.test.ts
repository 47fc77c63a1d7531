import { describe, expect, test } from "vitest";
import type { ServiceEndpoint } from "../../services/index.ts";
import { FakeClock } from "../../system/index.ts";
import { createBalancer } from "./balancer.ts";

const endpoint = (i: number): ServiceEndpoint => ({
  address: `127.42.0.${i}`,
  port: 8080,
  ready: true,
  serving: true,
  terminating: false,
  nodeHints: [],
  zoneHints: [],
  slice: "default/web",
});
const all = [1, 2, 3].map(endpoint);
const client = "127.0.0.1";

describe("the balancer", () => {
  test("takes endpoints in turn, and names all others to try after", () => {
    const balancer = createBalancer(new FakeClock(), new Map(), 0);
    const firsts = Array.from({ length: 6 }, () => balancer.order(all, client)[0]?.address);
    expect(firsts).toEqual([1, 2, 3, 1, 2, 3].map((i) => `127.42.0.${i}`));
    expect(new Set(balancer.order(all, client))).toEqual(new Set(all));
    expect(balancer.order([], client)).toEqual([]);
  });

  test("with affinity a client stays with the endpoint it reached, until the time is over", async () => {
    const clock = new FakeClock();
    const balancer = createBalancer(clock, new Map(), 0);
    balancer.reached(client, endpoint(2), 60);
    await clock.advance(59_000);
    expect(balancer.order(all, client, 60)[0]).toEqual(endpoint(2));
    balancer.reached(client, endpoint(2), 60);
    await clock.advance(59_000);
    expect(balancer.order(all, client, 60)[0]).toEqual(endpoint(2));
    await clock.advance(2_000);
    const firsts = Array.from({ length: 3 }, (_, i) => balancer.order(all, `127.0.0.${i + 1}`, 60)[0]);
    expect(new Set(firsts)).toEqual(new Set(all));
    // Connections that begin at the same time go the same way.
    expect(balancer.order(all, client, 60)[0]).toEqual(firsts[0]);
  });

  test("affinity is the same at every frontend of a Service port", () => {
    const shared = new Map();
    createBalancer(new FakeClock(), shared, 0).reached(client, endpoint(2), 60);
    expect(createBalancer(new FakeClock(), shared, 0).order(all, client, 60)[0]).toEqual(endpoint(2));
  });

  test("an endpoint that is gone is not stuck to", () => {
    const balancer = createBalancer(new FakeClock(), new Map(), 0);
    balancer.reached(client, endpoint(2), 60);
    expect(balancer.order([endpoint(1)], client, 60)).toEqual([endpoint(1)]);
  });

  test("switching affinity off forgets the clients", () => {
    const balancer = createBalancer(new FakeClock(), new Map(), 0);
    balancer.reached(client, endpoint(3), 60);
    balancer.reached(client, endpoint(1));
    expect(balancer.order(all, client, 60)[0]).toEqual(endpoint(1));
  });
});
