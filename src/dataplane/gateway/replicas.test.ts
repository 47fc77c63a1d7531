import { expect, test } from "vitest";
import type { Endpoint, EndpointSlice } from "../../kube/index.ts";
import { meaningOf, replicasOf } from "./replicas.ts";

const slice = (...endpoints: Endpoint[]): EndpointSlice => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name: "edge-1", namespace: "fairlead" },
  addressType: "IPv4",
  endpoints,
});

test("all endpoints of the Service that leads here serve, as ready as they are", () => {
  const going = { ready: false, serving: true, terminating: true };
  const found = replicasOf(
    ["10.0.0.1"],
    [
      slice({ addresses: ["10.0.0.2"], conditions: going, nodeName: "b", zone: "z", hostname: "left out" }),
      slice({ addresses: ["10.0.0.1"], conditions: { ready: true }, targetRef: { kind: "Pod", name: "a" } }),
    ],
  );
  expect(found).toEqual([
    { addresses: ["10.0.0.1"], conditions: { ready: true } },
    { addresses: ["10.0.0.2"], conditions: going, nodeName: "b", zone: "z" },
  ]);
});

test("a Service that leads elsewhere, or that is not there, says nothing of who serves", () => {
  expect(replicasOf(["10.0.0.1", "fd00::1"], [])).toBeUndefined();
  expect(replicasOf(["10.0.0.1", "fd00::1"], [slice({ addresses: ["10.9.0.1"] })])).toBeUndefined();
});

test("conditions that are not said are compared by what they mean", () => {
  const written = [{ addresses: ["10.0.0.1"], conditions: { ready: true } }];
  const read = [{ addresses: ["10.0.0.1"], conditions: { ready: true, serving: true, terminating: false } }];
  expect(meaningOf(read)).toEqual(meaningOf(written));
  expect(meaningOf([{ addresses: ["10.0.0.1"] }])).toEqual(meaningOf(written));
  expect(meaningOf([{ addresses: ["10.0.0.1"], conditions: { ready: false } }])).not.toEqual(meaningOf(written));
  expect(meaningOf([{ addresses: ["10.0.0.1"], nodeName: "a" }])).not.toEqual(meaningOf(written));
});
