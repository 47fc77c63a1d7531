import { expect, test } from "vitest";
import type { Pod, Service, ServiceSpec } from "../../kube/index.ts";
import { subsetsOf } from "./subsets.ts";

const service = (spec: Partial<ServiceSpec> = {}): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { namespace: "a", name: "web" },
  spec: { clusterIP: "10.96.0.5", ports: [{ name: "http", port: 80, targetPort: "http" }], ...spec },
});

function pod(ip: string, change: { ready?: boolean; leaving?: boolean; port?: number; phase?: string } = {}): Pod {
  const { ready = true, leaving = false, port = 8080, phase = "Running" } = change;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "a", name: ip, uid: ip, ...(leaving ? { deletionTimestamp: "2030-01-01T00:00:00Z" } : {}) },
    spec: { containers: [{ name: "c", ports: [{ name: "http", containerPort: port }] }] },
    status: { phase, podIP: ip, conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
  };
}

const view = (given: Service, pods: Pod[]) =>
  subsetsOf(given, pods).subsets.map(({ addresses = [], notReadyAddresses = [], ports = [] }) => [
    addresses.map(({ ip }) => ip).join(),
    notReadyAddresses.map(({ ip }) => ip).join(),
    ports.map(({ name, port }) => `${name ?? ""}:${port}`).join(),
  ]);

test("ready and not ready apart, pods with other ports in a subset of their own", () => {
  const pods = [pod("10.0.0.1"), pod("10.0.0.2", { ready: false }), pod("10.0.0.3", { port: 9090 })];
  expect(view(service(), pods)).toEqual([
    ["10.0.0.1", "10.0.0.2", "http:8080"],
    ["10.0.0.3", "", "http:9090"],
  ]);
});

test("what leaves, has ended or has no address is not there; publishing all brings back what leaves", () => {
  const pods = [pod("10.0.0.1", { leaving: true }), pod("10.0.0.2", { phase: "Failed" }), pod("", {})];
  expect(view(service(), pods)).toEqual([]);
  const all = service({ publishNotReadyAddresses: true });
  expect(view(all, [...pods, pod("10.0.0.4", { ready: false })])).toEqual([["10.0.0.1,10.0.0.4", "", "http:8080"]]);
});

test("a headless Service needs no ports", () => {
  expect(view(service({ clusterIP: "None", ports: [] }), [pod("10.0.0.1")])).toEqual([["10.0.0.1", "", ""]]);
  expect(view(service({ ports: [] }), [pod("10.0.0.1")])).toEqual([]);
});

test("beyond a thousand addresses the ready ones come first", () => {
  const pods = Array.from({ length: 1500 }, (_, i) => pod(`10.1.${i >> 8}.${i & 255}`, { ready: i >= 700 }));
  const { subsets, truncated } = subsetsOf(service(), pods);
  expect(truncated).toBe(true);
  expect([subsets[0]?.addresses?.length, subsets[0]?.notReadyAddresses?.length]).toEqual([800, 200]);
});
