import { expect, test } from "vitest";
import type { EndpointSlice } from "../../kube/index.ts";
import { createBindPorts } from "./ports.ts";

const slice = (gateway: string, ports: Readonly<Record<string, number>>): EndpointSlice => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: {
    name: "any",
    namespace: "shop",
    labels: { "gateway.networking.k8s.io/gateway-name": gateway.slice(0, 63) },
    ownerReferences: [{ apiVersion: "gateway.networking.k8s.io/v1", kind: "Gateway", name: gateway, uid: "u" }],
  },
  addressType: "IPv4",
  endpoints: [],
  ports: Object.entries(ports).map(([name, port]) => ({
    name,
    port,
    protocol: name.startsWith("udp") ? "UDP" : "TCP",
  })),
});

test("ports that were written before are kept, for a name that is too long for a label as well", () => {
  const long = "a".repeat(100);
  const ports = createBindPorts([
    slice("web", { "tcp-80": 15_001, "udp-80": 15_002 }),
    slice(long, { "tcp-80": 15_003 }),
  ]);
  expect([ports.of("shop/web", "TCP", 80), ports.of("shop/web", "UDP", 80)]).toEqual([15_001, 15_002]);
  expect(ports.of(`shop/${long}`, "TCP", 80)).toBe(15_003);
});

test("two processes that have seen nothing give the same port", () => {
  const given = [createBindPorts([]), createBindPorts([])].map((ports) => ports.of("shop/web", "TCP", 80));
  expect(given[0]).toBe(given[1]);
});

test("what who leads has written takes the place of a guess, and whoever guessed that port gets another", () => {
  const ports = createBindPorts([]);
  const guess = ports.of("shop/web", "TCP", 80);
  const [others, udp] = [ports.of("shop/other", "TCP", 80), ports.of("shop/other", "UDP", 53)];
  expect(ports.learn(slice("web", { "tcp-80": others }))).toBe(true);
  expect(ports.learn(slice("web", { "tcp-80": others }))).toBe(false);
  expect(ports.of("shop/web", "TCP", 80)).toBe(others);
  expect([others]).not.toContain(ports.of("shop/other", "TCP", 80));
  expect(ports.of("shop/other", "UDP", 53)).toBe(udp);
  // What was guessed is free again.
  expect(ports.learn(slice("third", { "tcp-80": guess }))).toBe(true);
  expect(ports.of("shop/third", "TCP", 80)).toBe(guess);
});

test("a port that somebody else has is given to nobody, and one of a Gateway that went to whoever comes", () => {
  const ports = createBindPorts([]);
  const first = ports.of("shop/web", "TCP", 80);
  ports.refuse(first, "TCP");
  const second = ports.of("shop/web", "TCP", 80);
  expect(second).not.toBe(first);
  ports.keep(new Set());
  // The one before it is still somebody else's.
  expect(ports.of("shop/web", "TCP", 80)).toBe(second);
});
