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
    ...plan.podCIDRs,
    ...plan.serviceCIDRs,
    plan.apiService,
    plan.dns,
    ...plan.lbPools,
    plan.node(1),
    plan.node(3),
  ];
  expect(addresses.every((address) => address.startsWith("127."))).toBe(true);
});

it("several nodes have addresses of their own network", () => {
  const plan = addressPlan("namespaces", 3);
  expect([1, 2, 3].map(plan.node)).toEqual(["10.41.0.1", "10.41.0.2", "10.41.0.3"]);
});

it("two families, where one of the ranges has two", () => {
  const plan = addressPlan("namespaces", 2, { serviceCidr: ["10.43.0.0/16", "fd00:43::/112"], clusterCidr: [] });
  expect(plan).toMatchObject({
    podCIDRs: ["10.42.0.0/16", "fd00:10:42::/48"],
    serviceCIDRs: ["10.43.0.0/16", "fd00:43::/112"],
    apiService: "10.43.0.1",
    dns: "10.43.0.10",
    lbPools: ["10.97.0.0/24", "fd00:10:97::/120"],
  });
  expect([plan.node(2), plan.secondOfNode(2)]).toEqual(["10.41.0.2", "fd00:10:41::2"]);
  expect(addressPlan("namespaces", 2).secondOfNode(2)).toBeUndefined();
});

it.each([
  [["10.43.0.0/16"], ["10.43.128.0/17"], "10.43.0.0/16 and 10.43.128.0/17 share addresses"],
  [["10.42.0.0/16"], [], "10.42.0.0/16 and 10.42.0.0/16 share addresses"],
  [[], ["10.41.0.0/16"], "10.41.0.0/16 and 10.41.0.0/24 share addresses"],
  [["10.43.0.0/16"], ["10.44.0.0/16", "fd00::/48"], "Services and pods have to be of the same families"],
])("refuses Services in %j with pods in %j", (serviceCidr, clusterCidr, text) => {
  expect(() => addressPlan("namespaces", 2, { serviceCidr, clusterCidr })).toThrow(text);
});

it("without root there are no ranges to choose", () => {
  const chosen = { serviceCidr: ["10.43.0.0/16"], clusterCidr: [] };
  expect(() => addressPlan("loopback", 1, chosen)).toThrow("without pod networks all addresses are loopback's");
});
