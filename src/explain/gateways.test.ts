import { describe, expect, it } from "vitest";
import type { KubeObject } from "../kube/index.ts";
import { assumeObjects } from "./assume.ts";
import { createCluster } from "./cluster.ts";
import { gatewayChanges } from "./diff/gateways.ts";
import { gatewayRouting, gatewaysWith, noGateways } from "./gateways.ts";

const controllerName = "example.com/us";
const api = "gateway.networking.k8s.io/v1";
const object = (apiVersion: string, kind: string, name: string, spec: object): KubeObject =>
  ({ apiVersion, kind, metadata: { namespace: "shop", name }, spec }) as KubeObject;
const gatewayClass = object(api, "GatewayClass", "ours", { controllerName });
const gateway = (port: number) =>
  object(api, "Gateway", "gw", {
    gatewayClassName: "ours",
    listeners: [{ name: "http", port, protocol: "HTTP", allowedRoutes: { namespaces: { from: "Same" } } }],
  });
const route = (to: string, parent = "gw", apiVersion = api) =>
  object(apiVersion, "HTTPRoute", "site", {
    parentRefs: [{ name: parent }],
    hostnames: ["a.example"],
    rules: [{ matches: [{ path: { type: "PathPrefix", value: "/" } }], backendRefs: [{ name: to, port: 80 }] }],
  });
const service = (name: string) => object("v1", "Service", name, { clusterIP: "10.96.0.7", ports: [{ port: 80 }] });

const cluster = createCluster(assumeObjects([service("web"), service("other")], { controllerName }).objects, {
  clusterDomain: "cluster.local",
  podCidrs: [],
  serviceCidrs: [],
});
const meaning = (objects: typeof noGateways) =>
  gatewayRouting(cluster, objects, { controllerName, inspect: () => undefined, inspectAuthorities: () => undefined });
const changes = (base: readonly KubeObject[], ...manifests: KubeObject[]) => {
  const before = gatewaysWith(noGateways, base);
  return gatewayChanges(meaning(before), meaning(gatewaysWith(before, manifests)));
};
const all = [gatewayClass, gateway(80), route("web")];

describe("what would change of the Gateway API", () => {
  it("nothing, where nothing does, whatever version of the API the manifest has", () => {
    expect(changes(all, gateway(80), route("web", "gw", "gateway.networking.k8s.io/v1beta1"))).toEqual([]);
  });

  it("tells of a Gateway's port, of a route that it takes, and where that leads", () => {
    const found = changes([gatewayClass], gateway(80), route("web"));
    expect(found.map(({ kind }) => kind)).toEqual(["added", "added", "added"]);
    expect(found).toContainEqual({ kind: "added", object: "Gateway shop/gw", what: "port 80/TCP", after: "served" });
    expect(found).toContainEqual({
      kind: "added",
      object: "HTTPRoute shop/site",
      what: "at Gateway shop/gw",
      after: "taken",
    });
    expect(found.find(({ what }) => what.startsWith("route a.example Prefix /"))?.after).toContain(
      "Service shop/web port 80",
    );
  });

  it("tells of another backend, and of one that is not there", () => {
    const [moved] = changes(all, route("other"));
    expect(moved).toMatchObject({ kind: "changed", object: "HTTPRoute shop/site" });
    expect([moved?.before, moved?.after].map((text) => text?.split(" by ")[0])).toEqual([
      "Service shop/web port 80",
      "Service shop/other port 80",
    ]);
    const missing = changes(all, route("nowhere"));
    expect(missing.find(({ what }) => what === "at Gateway shop/gw")?.after).toMatch(
      /not ResolvedRefs: BackendNotFound/,
    );
  });

  it("tells what a port that moves takes along, and who leaves a Gateway", () => {
    expect(changes(all, gateway(81)).map(({ kind, what }) => `${kind} ${what.split(" ")[0]}`)).toEqual([
      "removed port",
      "removed route",
      "added port",
      "added route",
    ]);
    const left = changes(all, route("web", "another"));
    expect(left.map(({ kind, what }) => `${kind} ${what.split(" ")[0]}`)).toContain("removed at");
  });
});
