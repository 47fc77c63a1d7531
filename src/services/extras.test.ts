import { describe, expect, test } from "vitest";
import type { EndpointSlice, Service } from "../kube/index.ts";
import { extrasOf, weighted } from "./extras.ts";
import { createServiceModel, ignoredFields, type ProxyContext, type ServiceEndpoint } from "./index.ts";

const context: ProxyContext = {
  families: ["IPv4"],
  node: { name: "node1", addresses: ["192.0.2.1"] },
  podCidrs: ["10.42.0.0/16"],
  serviceCidrs: ["10.96.0.0/16"],
};
const service = (annotations: Record<string, string>): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { namespace: "default", name: "web", annotations },
  spec: { clusterIP: "10.96.0.1", ports: [{ port: 80 }] },
});
const slice: EndpointSlice = {
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { namespace: "default", name: "web-a", labels: { "kubernetes.io/service-name": "web" } },
  addressType: "IPv4",
  endpoints: [1, 2, 3].map((i) => ({
    addresses: [`10.42.0.${i}`],
    nodeName: `node${i}`,
    zone: i === 3 ? "b" : "a",
    targetRef: { kind: "Pod", namespace: "default", name: `web-${i}` },
  })),
  ports: [{ name: "", port: 8080, protocol: "TCP" }],
};
function pool(annotations: Record<string, string>) {
  const model = createServiceModel(context);
  model.upsertService(service(annotations));
  model.upsertSlice(slice);
  const packet = { source: "10.42.0.9", destination: "10.96.0.1", protocol: "TCP", port: 80 } as const;
  const { decision } = model.route(packet);
  return decision?.verdict === "forward"
    ? decision.endpoints.map(({ address, weight = 1 }) => `${address.slice(-1)}=${weight}`)
    : decision;
}

describe("weights", () => {
  test("by pod, address, node and zone; the first that fits counts, 1 where none does", () => {
    expect(pool({ "fairlead.dev/weights": "web-1=3, 10.42.0.2=2" })).toEqual(["1=3", "2=2", "3=1"]);
    expect(pool({ "fairlead.dev/weights": "node:node2=5,zone:a=2" })).toEqual(["1=2", "2=5", "3=1"]);
    expect(pool({ "fairlead.dev/weights": "web-1=20,web-2=30,web-3=10" })).toEqual(["1=2", "2=3", "3=1"]);
  });

  test("of 0 gives an endpoint no new connections, unless all have it", () => {
    expect(pool({ "fairlead.dev/weights": "web-1=0" })).toEqual(["2=1", "3=1"]);
    expect(pool({ "fairlead.dev/weights": "zone:a=0,zone:b=0" })).toEqual(["1=1", "2=1", "3=1"]);
  });

  test("what is not understood is named, and the rest counts", () => {
    const annotations = { "fairlead.dev/weights": "web-1=3,web-2,=4,web-3=101,a b=1", "fairlead.dev/override": "stop" };
    expect(pool(annotations)).toEqual(["1=3", "2=1", "3=1"]);
    const fields = ignoredFields(service(annotations)).map(({ field }) => field);
    expect(fields).toEqual([
      ...Array.from({ length: 4 }, () => "metadata.annotations[fairlead.dev/weights]"),
      "metadata.annotations[fairlead.dev/override]",
    ]);
  });

  test("without annotations the endpoints are the very same", () => {
    expect(extrasOf(service({}))).toEqual({ drop: false, log: false, resetRemoved: false, ignored: [] });
    const endpoints: ServiceEndpoint[] = [];
    expect(weighted(endpoints, () => 7)).toBe(endpoints);
  });
});

test("drop answers nobody, and says who ordered it", () => {
  expect(pool({ "fairlead.dev/override": "drop" })).toMatchObject({
    verdict: "drop",
    because: [{ field: "metadata.annotations[fairlead.dev/override]" }, { field: "spec.clusterIP" }],
  });
});

describe("other extras", () => {
  const fieldsOf = (annotations: Record<string, string>, spec: object = {}) => {
    const plain = service(annotations);
    return ignoredFields({ ...plain, spec: { ...plain.spec, ...spec } }).map(
      ({ field, reason }) => `${field} ${reason}`,
    );
  };

  test("are read; what is not understood is named and left out", () => {
    const good = {
      "fairlead.dev/override": "log, drop",
      "fairlead.dev/balance": "least-connections",
      "fairlead.dev/hold": "30",
      "fairlead.dev/removed-endpoints": "reset",
    };
    expect(fieldsOf(good)).toEqual([]);
    expect(extrasOf(service(good))).toMatchObject({
      drop: true,
      log: true,
      balance: "least-connections",
      holdSeconds: 30,
      resetRemoved: true,
    });
    const bad = {
      "fairlead.dev/override": "log,stop",
      "fairlead.dev/balance": "round-robin",
      "fairlead.dev/hold": "0",
      "fairlead.dev/removed-endpoints": "yes",
    };
    expect(fieldsOf(bad)).toHaveLength(4);
    expect(extrasOf(service(bad))).toEqual({ drop: false, log: true, resetRemoved: false, ignored: expect.anything() });
  });

  test("source-hash leads a client to one endpoint, and says so; affinity goes before it", () => {
    const model = createServiceModel(context);
    model.upsertService(service({ "fairlead.dev/balance": "source-hash" }));
    model.upsertSlice(slice);
    const packet = { source: "10.42.0.9", destination: "10.96.0.1", protocol: "TCP", port: 80 } as const;
    const { decision } = model.route(packet);
    expect(decision).toMatchObject({ verdict: "forward", picked: { port: 8080 } });
    expect(decision?.because[1]?.field).toBe("metadata.annotations[fairlead.dev/balance]");
    const sticky = service({ "fairlead.dev/balance": "source-hash" });
    model.upsertService({ ...sticky, spec: { ...sticky.spec, sessionAffinity: "ClientIP" } });
    expect(model.route(packet).decision).not.toHaveProperty("picked");
    expect(fieldsOf({ "fairlead.dev/balance": "source-hash" }, { sessionAffinity: "ClientIP" })).toHaveLength(1);
  });
});
