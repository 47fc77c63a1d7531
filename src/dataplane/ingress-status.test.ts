import { expect, test } from "vitest";
import type { Ingress } from "../kube/index.ts";
import { sameStatus, statusOf } from "./ingress-status.ts";

const ingress = (tls?: object[]): Ingress => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "Ingress",
  metadata: { name: "i" },
  spec: tls ? { tls } : {},
});
const listeners = [
  { name: "http", protocol: "HTTP", wanted: 80, port: 8080, error: "port 80 needs privileges" },
  { name: "https", protocol: "HTTPS", wanted: 443, port: 443 },
  { name: "broken", protocol: "HTTP", wanted: 81, error: "port 81 is in use" },
] as const;
const port = (number: number) => ({ port: number, protocol: "TCP" });

test("an address is an ip or a hostname, with the ports that answer", () => {
  expect(statusOf(ingress(), ["192.0.2.1", "lb.test", "2001:db8::1"], listeners)).toEqual([
    { ip: "192.0.2.1", ports: [port(8080)] },
    { hostname: "lb.test", ports: [port(8080)] },
    { ip: "2001:db8::1", ports: [port(8080)] },
  ]);
  expect(statusOf(ingress([{ secretName: "x" }]), ["192.0.2.1"], listeners)[0]?.ports).toEqual([port(8080), port(443)]);
  expect(statusOf(ingress([]), [], listeners)).toEqual([]);
});

test("sameStatus compares addresses and ports", () => {
  const one = [{ ip: "192.0.2.1", ports: [port(80)] }];
  expect(sameStatus(one, [{ ip: "192.0.2.1", ports: [port(80)] }])).toBe(true);
  expect(sameStatus(undefined, [])).toBe(true);
  expect(sameStatus(one, [{ ip: "192.0.2.1", ports: [port(8080)] }])).toBe(false);
  expect(sameStatus(one, [{ ip: "192.0.2.2", ports: [port(80)] }])).toBe(false);
  expect(sameStatus(one, [])).toBe(false);
  expect(sameStatus(undefined, one)).toBe(false);
});
