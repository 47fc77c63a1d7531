import { expect, it } from "vitest";
import { addressPlan, poolsOf, defaultInterface, defaultInterfaceOfIpv6 } from "./addresses.ts";

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

it("defaultInterfaceOfIpv6 knows loopback's routes from others'", () => {
  const none = "0".repeat(32);
  const route = (metric: string, name: string) =>
    `${none} 00 ${none} 00 fe800000000000000000000000000001 ${metric} 00000001 00000000 00000003 ${name}`;
  const lines = [route("ffffffff", "lo"), route("00000400", "wlan0"), route("00000100", "eth0")];
  expect(defaultInterfaceOfIpv6(`${lines.join("\n")}\n`)).toBe("eth0");
  expect(defaultInterfaceOfIpv6(route("ffffffff", "lo"))).toBeUndefined();
});

it("a cluster without root lives on loopback only", () => {
  const plan = addressPlan("loopback", 3);
  const addresses = [
    ...plan.podCIDRs,
    ...plan.serviceCIDRs,
    plan.apiService,
    ...plan.dns,
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
    families: ["IPv4", "IPv6"],
    dns: ["10.43.0.10", "fd00:43::a"],
    lbPools: ["10.97.0.0/24", "fd00:10:97::/120"],
  });
  expect(plan.addressesOf(2)).toEqual(["10.41.0.2", "fd00:10:41::2"]);
  expect(addressPlan("namespaces", 2).addressesOf(2)).toEqual(["10.41.0.2"]);
});

it.each([
  [["fd00:43::/112"], ["fd00:10:42::/48"], ["fd00:43::a"], ["fd00:10:97::/120"], ["fd00:10:41::2"]],
  [
    ["fd00:43::/112", "10.43.0.0/16"],
    ["fd00:10:42::/48", "10.42.0.0/16"],
    ["fd00:43::a", "10.43.0.10"],
    ["fd00:10:97::/120", "10.97.0.0/24"],
    ["fd00:10:41::2", "10.41.0.2"],
  ],
])("Services in %j: the same families in the same order for all else", (serviceCidr, podCIDRs, dns, lbPools, node) => {
  const plan = addressPlan("namespaces", 2, { serviceCidr, clusterCidr: [] });
  expect(plan).toMatchObject({ podCIDRs, dns, lbPools, apiService: "fd00:43::1" });
  expect(plan.addressesOf(2)).toEqual(node);
});

it.each([
  [["fd00:42::/64"], 2, "a node gets a /64, so fd00:42::/64 is enough for 1 of 2 nodes"],
  [["fd00:42::/63"], 3, "a node gets a /64, so fd00:42::/63 is enough for 2 of 3 nodes"],
  [["10.44.0.0/24"], 2, "a node gets a /24, so 10.44.0.0/24 is enough for 1 of 2 nodes"],
])("refuses pods in %j for %i nodes", (clusterCidr, nodes, text) => {
  expect(() => addressPlan("namespaces", nodes, { serviceCidr: [], clusterCidr })).toThrow(
    `--cluster-cidr ${clusterCidr.join(",")}: ${text}`,
  );
});

it.each([
  [["10.43.0.0/16"], ["10.43.128.0/17"], "10.43.0.0/16 and 10.43.128.0/17 share addresses"],
  [["10.42.0.0/16"], [], "10.42.0.0/16 and 10.42.0.0/16 share addresses"],
  [[], ["10.41.0.0/16"], "10.41.0.0/16 and 10.41.0.0/24 share addresses"],
  [["10.43.0.0/16"], ["10.44.0.0/16", "fd00::/48"], "Services and pods have to be of the same families"],
  [["fd00:43::/112"], ["10.44.0.0/16"], "--cluster-cidr is 10.44.0.0/16"],
  [["fd00:43::/112", "10.43.0.0/16"], ["10.44.0.0/16", "fd00::/48"], "in the same order"],
])("refuses Services in %j with pods in %j", (serviceCidr, clusterCidr, text) => {
  expect(() => addressPlan("namespaces", 2, { serviceCidr, clusterCidr })).toThrow(text);
});

it("without root there are no ranges to choose", () => {
  const chosen = { serviceCidr: ["10.43.0.0/16"], clusterCidr: [] };
  expect(() => addressPlan("loopback", 1, chosen)).toThrow("without pod networks all addresses are loopback's");
});

it("load balancers have pools of the cluster's families only", () => {
  const plan = addressPlan("namespaces", 2, { serviceCidr: ["fd00:96::/112"], clusterCidr: [] });
  expect(poolsOf(plan, [])).toEqual(["fd00:10:97::/120"]);
  expect(poolsOf(plan, ["fd00:97::1-fd00:97::9"])).toEqual(["fd00:97::1-fd00:97::9"]);
  expect(() => poolsOf(plan, ["10.97.0.0/24"])).toThrow("--lb-pool 10.97.0.0/24: this cluster has no IPv4");
});
