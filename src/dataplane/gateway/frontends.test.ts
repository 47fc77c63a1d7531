import { expect, test } from "vitest";
import type { Gateway, GatewayPort } from "../../routing/index.ts";
import { frontendsOf } from "./frontends.ts";

const gateway = (addresses: readonly string[] = []): Gateway => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "Gateway",
  metadata: { name: "web", namespace: "shop", uid: "u-1" },
  spec: {
    gatewayClassName: "fairlead",
    listeners: [],
    addresses: addresses.map((value) => ({ type: "IPAddress", value })),
  },
});
const at = (...addresses: string[]) => addresses.map((each) => ({ addresses: [each], conditions: { ready: true } }));
const ports: GatewayPort[] = [{ port: 80, transport: "TCP", bindPort: 20_080, listener: "80" }];

test("a data plane in two families gets a Service and slices of both", () => {
  const [frontend, ...others] = frontendsOf(gateway(), ports, at("fd00::1", "10.0.0.1"));
  expect(others).toEqual([]);
  expect(frontend?.service.spec.ipFamilyPolicy).toBe("PreferDualStack");
  expect(
    frontend?.slices.map(({ metadata, addressType, endpoints }) => [metadata.name, addressType, endpoints]),
  ).toEqual([
    ["web-fairlead", "IPv6", [{ addresses: ["fd00::1"], conditions: { ready: true } }]],
    ["web-fairlead-ipv4", "IPv4", [{ addresses: ["10.0.0.1"], conditions: { ready: true } }]],
  ]);
  for (const { metadata } of frontend?.slices ?? [])
    expect(metadata.labels?.["kubernetes.io/service-name"]).toBe("web-fairlead");
});

test("an address that is asked for decides its Service's family", () => {
  const specs = frontendsOf(gateway(["10.97.0.9", "fd00:97::9"]), ports, at("fd00::1", "10.0.0.1")).map(
    ({ service }) => service.spec,
  );
  expect(specs).toMatchObject([
    { loadBalancerIP: "10.97.0.9", ipFamilyPolicy: "SingleStack", ipFamilies: ["IPv4"] },
    { loadBalancerIP: "fd00:97::9", ipFamilyPolicy: "SingleStack", ipFamilies: ["IPv6"] },
  ]);
});

test("a data plane in one family leaves the family to the cluster", () => {
  const [frontend] = frontendsOf(gateway(), ports, at("10.0.0.1"));
  expect(frontend?.service.spec.ipFamilyPolicy).toBeUndefined();
  expect(frontend?.slices).toHaveLength(1);
});
