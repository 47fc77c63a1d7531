import { expect, test } from "vitest";
import { FakeClock } from "../system/index.ts";
import type { NodePlan } from "../services/index.ts";
import { translatedIn, type ServiceConnection } from "./connections.ts";
import { createDraining } from "./draining.ts";

test("of what the kernel follows, translated connections that have not ended are connections to Services", () => {
  const text = `tcp      6 431990 ESTABLISHED src=10.42.4.2 dst=10.96.1.1 sport=40000 dport=80 src=10.42.2.2 dst=10.42.4.2 sport=8080 dport=40000 [ASSURED] mark=0 use=1
tcp      6 431990 ESTABLISHED src=fd42::2 dst=fd96::1 sport=40001 dport=80 packets=3 bytes=200 src=fd42::9 dst=fd42::2 sport=8080 dport=40001 packets=2 bytes=900 [ASSURED] mark=0 use=1
tcp      6 100 TIME_WAIT src=10.42.4.2 dst=10.96.1.1 sport=40002 dport=80 src=10.42.2.2 dst=10.42.4.2 sport=8080 dport=40002 [ASSURED] mark=0 use=1
tcp      6 431990 ESTABLISHED src=10.42.4.2 dst=10.42.2.3 sport=40003 dport=80 src=10.42.2.3 dst=10.42.4.2 sport=80 dport=40003 [ASSURED] mark=0 use=1
conntrack v1.4.7 (conntrack-tools): 4 flow entries have been shown.`;
  expect(
    [...translatedIn(text)].map(({ client, frontend, endpoint, received, sent }) => [
      client,
      frontend,
      endpoint,
      received,
      sent,
    ]),
  ).toEqual([
    ["10.42.4.2:40000", "10.96.1.1:80", "10.42.2.2:8080", undefined, undefined],
    ["[fd42::2]:40001", "[fd96::1]:80", "[fd42::9]:8080", 200, 900],
  ]);
});

test("connections of endpoints that were taken out are counted down, and nothing is listed without such", async () => {
  const clock = new FakeClock();
  let lists = 0;
  let open: string[] = ["10.0.0.1", "10.0.0.1", "10.0.0.2"];
  const draining = createDraining(clock, () => {
    lists++;
    return Promise.resolve(
      open.map((address): ServiceConnection => ({
        service: "a/web",
        protocol: "TCP",
        client: "",
        frontend: "",
        endpoint: `${address}:80`,
      })),
    );
  });
  const plan = (...addresses: string[]) =>
    ({
      key: "a/web",
      ports: [
        {
          protocol: "TCP",
          cluster: { endpoints: addresses.map((address) => ({ address, port: 80, ready: true })) },
          local: { endpoints: [] },
        },
      ],
    }) as unknown as NodePlan;
  draining.update("a/web", plan("10.0.0.1", "10.0.0.2"));
  expect(await draining.left()).toEqual([]);
  expect(lists).toBe(0);
  draining.update("a/web", plan("10.0.0.2"));
  await clock.advance(3_000);
  expect(await draining.left()).toEqual([{ service: "a/web", endpoint: "10.0.0.1:80", connections: 2, seconds: 3 }]);
  open = ["10.0.0.2"];
  await clock.advance(2_000);
  expect(await draining.left()).toEqual([]);
  const before = lists;
  await clock.advance(2_000);
  expect(await draining.left()).toEqual([]);
  expect(lists).toBe(before);
  draining.update("a/web", undefined);
  draining.update("a/web", plan("10.0.0.2"));
  expect(await draining.left()).toEqual([]);
});
