import { expect, test } from "vitest";
import type { NodePlan } from "../services/index.ts";
import { someClusterIps, systemSourceFor, whyNoRoute } from "./service-routes.ts";

const plan = (...addresses: readonly string[]) =>
  ({
    key: "",
    conflicts: [],
    ports: addresses.map((address) => ({
      family: address.includes(":") ? "IPv6" : "IPv4",
      frontends: [
        { kind: "NodePort", port: 30_000 },
        { kind: "ClusterIP", address, port: 80 },
      ],
    })),
  }) as unknown as NodePlan;

test("one cluster IP of each family is looked at", () => {
  const plans = new Map([
    ["default/none", plan()],
    ["default/a", plan("10.96.0.1")],
    ["default/b", plan("10.96.0.2", "fd96::2")],
    ["default/c", plan("fd96::3")],
  ]);
  expect(someClusterIps(plans.keys(), (key) => plans.get(key))).toEqual([
    { address: "10.96.0.1", service: "default/a" },
    { address: "fd96::2", service: "default/b" },
  ]);
});

test("no route, and an address that is not the machine's own where it has to be, are told with the Service", async () => {
  const a = [{ address: "10.96.0.1", service: "default/a" }];
  const from = (source: string) => () => Promise.resolve(source);
  const none = () => Promise.reject(Object.assign(new Error("connect"), { code: "ENETUNREACH" }));
  expect(await whyNoRoute([], true, none)).toBeUndefined();
  expect(await whyNoRoute(a, false, from("192.0.2.1"))).toBeUndefined();
  expect(await whyNoRoute(a, false, none)).toBe(
    "this node has no route to cluster IP 10.96.0.1 of Service default/a (ENETUNREACH): give it a default route",
  );
  expect(await whyNoRoute(a, true, from("10.96.0.1"))).toBeUndefined();
  expect(await whyNoRoute(a, true, from("127.0.0.1"))).toBeUndefined();
  expect(await whyNoRoute(a, true, from("192.0.2.1"))).toContain("default/a is not this node's own");
});

test("the system is asked", async () => {
  expect(await systemSourceFor("127.0.0.5")).toMatch(/^127\./);
  // Linux has no way to connect there, with any routes.
  await expect(systemSourceFor("255.255.255.255")).rejects.toThrow(/E[A-Z]+/);
});
