import { describe, expect, it } from "vitest";
import type { KubeObject } from "../../kube/index.ts";
import { assumeObjects } from "../assume.ts";
import { createCluster } from "../cluster.ts";
import { factsOf } from "../doctor/facts.ts";
import { parseSubject, type Story, type StoryOptions, tell } from "./story.ts";

const object = (kind: string, name: string, rest: object, apiVersion = "v1"): KubeObject => ({
  apiVersion,
  kind,
  metadata: { namespace: "shop", name },
  ...rest,
});

const manifests = [
  object(
    "Deployment",
    "web",
    {
      spec: {
        replicas: 2,
        template: {
          metadata: { labels: { app: "web" } },
          spec: { containers: [{ name: "c", ports: [{ name: "http", containerPort: 8080 }] }] },
        },
      },
    },
    "apps/v1",
  ),
  object("Service", "web", {
    spec: {
      type: "LoadBalancer",
      selector: { app: "web" },
      ports: [{ name: "http", port: 80, targetPort: "http", protocol: "TCP" }],
    },
  }),
  object("Service", "lost", { spec: { selector: { app: "wep" }, ports: [{ port: 80, protocol: "TCP" }] } }),
  object(
    "Ingress",
    "site",
    {
      spec: {
        ingressClassName: "ours",
        rules: [
          {
            host: "a.example",
            http: {
              paths: [{ path: "/", pathType: "Prefix", backend: { service: { name: "lost", port: { number: 80 } } } }],
            },
          },
        ],
      },
    },
    "networking.k8s.io/v1",
  ),
];

function story(text: string, more: Pick<StoryOptions, "draining"> = {}): Story {
  const { objects } = assumeObjects(manifests, { controllerName: "example.com/us" });
  const cluster = createCluster(objects, {
    clusterDomain: "cluster.local",
    podCidrs: [],
    serviceCidrs: ["10.96.0.0/16"],
  });
  const options = { controllerName: "example.com/us", inspect: () => undefined, frontends: [] };
  return tell(factsOf(cluster, { ...options, nodes: [], now: 0 }), parseSubject(text, "shop"), {
    ...options,
    ...more,
    clusterDomain: "cluster.local",
    ports: { http: 80, https: 443 },
  });
}
const chapter = ({ chapters }: Story, title: string) => chapters.find((one) => one.title === title)?.lines ?? [];

describe("tell", () => {
  it("tells the whole way of a Service", () => {
    const told = story("service/web");
    expect(told.findings).toEqual([]);
    expect(chapter(told, "name")).toEqual(["web.shop.svc.cluster.local is 10.96.250.2"]);
    expect(chapter(told, "addresses")).toEqual([
      "ClusterIP 10.96.250.2:80/TCP",
      "NodePort 192.0.2.10:30001/TCP",
      "LoadBalancer 10.97.250.1:80/TCP",
    ]);
    expect(chapter(told, "data path")).toEqual([
      "from pods, port 80/TCP: forward: one of 2 endpoints; client address kept",
      "from outside, port 80/TCP: forward: one of 2 endpoints; the endpoint sees the node",
    ]);
    expect(chapter(told, "endpoints")).toHaveLength(2);
  });

  it("counts down the connections of endpoints that were taken out", () => {
    const one = { endpoint: "10.42.1.9:8080", connections: 1, seconds: 12, node: "node-2" };
    const draining = [
      { ...one, service: "shop/web" },
      { ...one, service: "shop/web", node: "node-1", connections: 3 },
      { ...one, service: "shop/lost" },
    ];
    expect(chapter(story("service/web", { draining }), "draining")).toEqual([
      "10.42.1.9:8080  by node-2  1 connection left, taken out 12 s ago",
      "10.42.1.9:8080  by node-1  3 connections left, taken out 12 s ago",
    ]);
    expect(chapter(story("service/web"), "draining")).toEqual([]);
  });

  it("names the first cause of what does not work", () => {
    const told = story("svc/lost");
    expect(told.findings[0]).toMatchObject({ check: "selector-matches-nothing", object: "Service shop/lost" });
    expect(chapter(told, "endpoints")).toEqual(["no endpoint takes connections"]);
  });

  it("follows an Ingress to the Service behind it", () => {
    const told = story("ingress/site");
    expect(chapter(told, "routes")[0]).toBe("a.example Prefix / -> Service shop/lost port 80");
    expect(told.findings[0]).toMatchObject({ object: "Service shop/lost" });
  });

  it("says which Services lead to a pod", () => {
    expect(chapter(story("pod/web-0"), "services")).toEqual(["shop/web: gets connections"]);
  });

  it.each([
    ["deployment/web", "BAD_REFERENCE"],
    ["service/", "BAD_REFERENCE"],
    ["service/a/b/c", "BAD_REFERENCE"],
    ["service/wab", "NOT_FOUND"],
    ["ingress/none", "NOT_FOUND"],
    ["pod/none", "NOT_FOUND"],
  ])("refuses %s", (text, code) => {
    expect(() => story(text)).toThrow(expect.objectContaining({ code }));
  });
});
