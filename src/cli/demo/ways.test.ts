import { describe, expect, it } from "vitest";
import type { Node, Service } from "../../kube/index.ts";
import type { Answer } from "./requests.ts";
import { tryWay, type Way, waysOf } from "./ways.ts";

const way = (attempt: () => Promise<Answer>): Way => ({
  how: "ClusterIP",
  url: "http://10.96.0.5:8080/",
  attempt,
  want: { status: "200", by: "catalog-" },
});

describe("tryWay", () => {
  it("tells who answered and how long it took", async () => {
    let time = 100;
    const outcome = await tryWay(
      way(async () => {
        time += 12;
        return { status: "200", by: "catalog-abc" };
      }),
      () => time,
    );
    expect(outcome).toEqual({
      how: "ClusterIP",
      url: "http://10.96.0.5:8080/",
      status: "200",
      by: "catalog-abc",
      milliseconds: 12,
    });
  });

  it.each([
    ["another status", async () => ({ status: "503", by: "" }), "status 503 instead of 200"],
    ["another pod", async () => ({ status: "200", by: "payments-x" }), "payments-x answered instead of catalog-*"],
    ["no answer", () => Promise.reject(new Error("connect ECONNREFUSED")), "connect ECONNREFUSED"],
  ])("fails on %s", async (_, attempt, failure) => {
    expect(await tryWay(way(attempt), () => 0)).toMatchObject({ failure });
  });
});

describe("waysOf", () => {
  const service = (name: string, spec: object, status: object = {}) =>
    [name, { apiVersion: "v1", kind: "Service", metadata: { name }, spec, status } as Service] as const;

  it("covers every way in, with the ports that the data plane really has", () => {
    const ways = waysOf({
      services: new Map([
        service("catalog", { clusterIP: "10.96.0.5" }),
        service("storefront", {}, { loadBalancer: { ingress: [{ ip: "10.97.0.1" }] } }),
      ]),
      nodes: [{ status: { addresses: [{ type: "InternalIP", address: "192.0.2.7" }] } } as Node],
      catalogPods: [],
      dns: { address: "10.96.0.10", port: 53 },
      clusterDomain: "cluster.local",
      ingress: { address: "192.0.2.7", httpPort: 8080, httpsPort: 443 },
      ca: "",
      fromPod: () => Promise.reject(new Error("not asked")),
    });
    expect(ways.map(({ url }) => url)).toEqual([
      "http://10.96.0.5:8080/",
      "http://catalog.shop.svc.cluster.local:8080/",
      "http://192.0.2.7:30080/",
      "udp://192.0.2.7:30081",
      "http://10.97.0.1:8080/",
      "http://shop.example.test:8080/",
      "http://shop.example.test:8080/catalog/books",
      "http://api.example.test:8080/pay",
      "https://shop.example.test/",
      "https://api.example.test/catalog",
      "A catalog-pods.shop.svc.cluster.local",
      "SRV _http._tcp.catalog-pods.shop.svc.cluster.local",
      "CNAME partner.shop.svc.cluster.local",
      "http://partner.shop.svc.cluster.local:8080/",
    ]);
  });
});
