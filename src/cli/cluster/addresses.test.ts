import { expect, it } from "vitest";
import { addressPlan, defaultInterface } from "./addresses.ts";

const header = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";

it("defaultInterface takes the default route with the lowest metric", () => {
  const routes = [
    header,
    "wlan0\t00000000\t0102000A\t0003\t0\t0\t600\t00000000\t0\t0\t0",
    "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0",
    "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
  ].join("\n");
  expect(defaultInterface(routes)).toBe("eth0");
});

it("defaultInterface knows none where there is no default route", () => {
  expect(defaultInterface(header)).toBeUndefined();
});

it("a cluster without root lives on loopback only", () => {
  const plan = addressPlan("loopback", 3);
  const addresses = [
    plan.podCIDR,
    plan.serviceCIDR,
    plan.apiService,
    plan.dns,
    plan.lbPool,
    plan.node(1),
    plan.node(3),
  ];
  expect(addresses.every((address) => address.startsWith("127."))).toBe(true);
});

it("several nodes have addresses of their own network", () => {
  const plan = addressPlan("namespaces", 3);
  expect([1, 2, 3].map(plan.node)).toEqual(["10.41.0.1", "10.41.0.2", "10.41.0.3"]);
});
