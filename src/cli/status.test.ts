import { expect, it } from "vitest";
import { statusTable } from "./status.ts";

it("statusTable prints further addresses beneath, and reasons under their row", () => {
  const text = statusTable(
    [
      {
        namespace: "shop",
        kind: "Service",
        name: "web",
        way: "NodePort",
        addresses: ["192.0.2.7:30080/TCP", "192.0.2.8:30080/TCP"],
        names: [],
        endpoints: { ready: 0, total: 2 },
        reason: "0 of 2 pods ready",
      },
      {
        namespace: "shop",
        kind: "Service",
        name: "x",
        way: "ExternalName",
        addresses: ["example.org"],
        names: ["x.shop"],
      },
    ],
    0,
  );
  expect(text).toBe(
    `${[
      "NAMESPACE  NAME         WAY           ADDRESS              DNS NAME OR HOST  READY",
      "shop       service/web  NodePort      192.0.2.7:30080/TCP  -                 0/2",
      "                                      192.0.2.8:30080/TCP",
      "  └ not reachable: 0 of 2 pods ready",
      "shop       service/x    ExternalName  example.org          x.shop            -",
    ].join("\n")}\n`,
  );
});

it("statusTable says what to do when there is nothing", () => {
  expect(statusTable([], 0)).toContain("kubectl expose");
});

it("statusTable says who holds addresses, once each, and for how long", () => {
  const now = Date.parse("2026-01-01T00:05:00Z");
  const service = { namespace: "shop", kind: "Service", way: "LoadBalancer", names: [] } as const;
  const since = "2026-01-01T00:01:30Z";
  const text = statusTable(
    [
      { ...service, name: "inside", way: "ClusterIP", addresses: ["10.96.0.9:80/TCP"] },
      {
        ...service,
        name: "vip",
        addresses: ["192.0.2.7:80/TCP", "192.0.2.7:443/TCP", "[2001:db8::7]:80/TCP", "[2001:db8::7]:443/TCP"],
        held: [
          { address: "192.0.2.7", by: "VRRP", holders: ["node-2"], since },
          { address: "2001:db8::7", by: "VRRP", holders: [] },
        ],
      },
      {
        ...service,
        name: "routed",
        addresses: ["192.0.2.8:80/TCP"],
        held: [{ address: "192.0.2.8", by: "BGP", holders: ["a", "b", "c", "d"], since, isSilent: true }],
      },
      {
        ...service,
        name: "cloud",
        addresses: ["lb.example.com:80/TCP"],
        held: [{ address: "lb.example.com", by: "provider", holders: ["aws"], since }],
      },
    ],
    now,
  );
  expect(text.split("\n").map((line) => line.slice(10))).toEqual([
    " NAME            WAY           ADDRESS                HELD BY                                        DNS NAME OR HOST  READY",
    " service/inside  ClusterIP     10.96.0.9:80/TCP       -                                              -                 -",
    " service/vip     LoadBalancer  192.0.2.7:80/TCP       node-2 (VRRP, 3m30s)                           -                 -",
    "                               192.0.2.7:443/TCP",
    "                               [2001:db8::7]:80/TCP   nobody (VRRP)",
    "                               [2001:db8::7]:443/TCP",
    " service/routed  LoadBalancer  192.0.2.8:80/TCP       a, b, c and 1 more (BGP, 3m30s, not heard of)  -                 -",
    " service/cloud   LoadBalancer  lb.example.com:80/TCP  aws (3m30s)                                    -                 -",
    "",
  ]);
});
