import { describe, expect, it } from "vitest";
import type { KubeObject } from "../../kube/index.ts";
import { assumeObjects } from "../assume.ts";
import { createCluster } from "../cluster.ts";
import { factsOf } from "../doctor/facts.ts";
import { type ClusterObjects, noObjects } from "../exposure.ts";
import { compareClusters, type Difference } from "./diff.ts";

const controllerName = "example.com/us";
const object = (kind: string, name: string, rest: object, apiVersion = "v1"): KubeObject => ({
  apiVersion,
  kind,
  metadata: { namespace: "shop", name, creationTimestamp: `2026-01-01T00:00:0${name.length}Z` },
  ...rest,
});
const workload = (name: string, replicas = 2) =>
  object(
    "Deployment",
    name,
    {
      spec: {
        replicas,
        template: {
          metadata: { labels: { app: name } },
          spec: { containers: [{ name: "c", ports: [{ name: "http", containerPort: 8080 }] }] },
        },
      },
    },
    "apps/v1",
  );
const service = (name: string, spec: object = {}) =>
  object("Service", name, {
    spec: {
      clusterIP: `10.96.0.${name.length}`,
      selector: { app: "web" },
      ports: [{ name: "http", port: 80, targetPort: 8080, protocol: "TCP" }],
      ...spec,
    },
  });
const ingress = (name: string, to: string) =>
  object(
    "Ingress",
    name,
    {
      spec: {
        ingressClassName: "ours",
        rules: [
          {
            host: "a.example",
            http: {
              paths: [{ path: "/", pathType: "Prefix", backend: { service: { name: to, port: { number: 80 } } } }],
            },
          },
        ],
      },
    },
    "networking.k8s.io/v1",
  );

const cluster = (...manifests: KubeObject[]): ClusterObjects => assumeObjects(manifests, { controllerName }).objects;

function diff(base: ClusterObjects, ...manifests: KubeObject[]): Difference {
  const after = assumeObjects(manifests, { base, controllerName }).objects;
  const [before, now] = [base, after].map((objects) =>
    factsOf(
      createCluster(objects, {
        clusterDomain: "cluster.local",
        podCidrs: ["10.42.0.0/16"],
        serviceCidrs: ["10.96.0.0/16"],
      }),
      {
        controllerName,
        inspect: () => undefined,
        frontends: [],
        nodes: [],
        now: 0,
      },
    ),
  );
  if (!before || !now) throw new Error("no facts");
  return compareClusters(before, now, ["nftables", "iptables", "userspace"]);
}

const base = cluster(workload("web"), service("web"), ingress("site", "web"));

describe("compareClusters", () => {
  it("finds nothing where nothing changes", () => {
    const { rows, ...rest } = diff(base, service("web"));
    expect(rest).toEqual({ changes: [], appearing: [], disappearing: [] });
    expect(rows.map(({ added, removed }) => [added.length, removed.length])).toEqual([
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
  });

  it("tells a new Service from nothing, with its rows in each mode", () => {
    const { changes, rows } = diff(
      base,
      service("front", {
        type: "NodePort",
        ports: [{ port: 80, nodePort: 30_080, targetPort: 8080, protocol: "TCP" }],
      }),
    );
    expect(changes.map(({ kind, what }) => [kind, what])).toEqual([
      ["added", "ClusterIP 10.96.0.5:80/TCP"],
      ["added", "NodePort 30080/TCP"],
    ]);
    expect(changes[0]?.after).toMatch(/^to 10\.42\.\S+:8080, 10\.42\.\S+:8080, masked for the node and outside$/);
    for (const { added, removed } of rows) expect([added.length > 0, removed.length]).toEqual([true, 0]);
  });

  it("says who loses what when a policy changes", () => {
    const before = cluster(
      workload("web"),
      service("web", { type: "NodePort", ports: [{ port: 80, nodePort: 30_080, protocol: "TCP" }] }),
      {
        ...object("Node", "far", {}),
        metadata: { name: "far" },
        status: { addresses: [{ type: "InternalIP", address: "192.0.2.2" }] },
      } as KubeObject,
      { ...object("Node", "near", {}), metadata: { name: "near" } },
    );
    // All pods are on the first node; the other drops what comes from outside.
    const only = {
      ...before,
      slices: before.slices.map((slice) => ({
        ...slice,
        endpoints: slice.endpoints?.map((one) => ({ ...one, nodeName: "far" })) ?? [],
      })),
    };
    const { changes, appearing } = diff(
      only,
      service("web", {
        type: "NodePort",
        externalTrafficPolicy: "Local",
        ports: [{ port: 80, nodePort: 30_080, protocol: "TCP" }],
      }),
    );
    const port = changes.find(({ what }) => what === "NodePort 30080/TCP");
    expect(port?.kind).toBe("changed");
    expect(port?.after).toContain("on near");
    expect(port?.after).toMatch(/outside: drop \(Local, and this node has no endpoint\)/);
    expect(appearing.map(({ check }) => check)).toContain("local-policy-without-endpoints");
  });

  it("draws endpoints anew where the selector changes, and names the fault that appears", () => {
    const { changes, appearing } = diff(base, service("web", { selector: { app: "wep" } }));
    expect(changes.find(({ what }) => what.startsWith("ClusterIP"))).toMatchObject({
      kind: "changed",
      after: "reject (none is ready on any node)",
    });
    expect(appearing[0]).toMatchObject({
      check: "selector-matches-nothing",
      remedy: expect.stringContaining('not "wep"'),
    });
  });

  it("tells of routes that move, and of those that an older object shadows", () => {
    const moved = diff(base, service("other", { selector: { app: "web" } }), ingress("site", "other"));
    expect(moved.changes.find(({ what }) => what === "route a.example Prefix /")).toMatchObject({
      kind: "changed",
      before: "Service shop/web port 80 by Ingress shop/site",
      after: "Service shop/other port 80 by Ingress shop/site",
    });
    const shadowed = diff(base, service("other"), ingress("latecomer", "other"));
    expect(shadowed.appearing.find(({ check }) => check === "route-problem")).toMatchObject({
      object: "Ingress shop/latecomer",
    });
    expect(shadowed.changes.some(({ what }) => what.startsWith("route"))).toBe(false);
  });

  it("names an address that an older Service has", () => {
    const { changes } = diff(
      cluster(workload("web"), service("web", { externalIPs: ["203.0.113.5"] })),
      service("second", { externalIPs: ["203.0.113.5"] }),
    );
    expect(changes.find(({ what }) => what === "ExternalIP 203.0.113.5:80/TCP")?.after).toContain(
      "taken by Service shop/web",
    );
  });

  it("tells what is put right", () => {
    const broken = cluster(workload("web"), service("web", { selector: { app: "wep" } }));
    const { disappearing, appearing } = diff(broken, service("web"));
    expect(disappearing.map(({ check }) => check)).toContain("selector-matches-nothing");
    expect(appearing).toEqual([]);
  });

  it("compares with nothing at all", () => {
    expect(diff(noObjects, workload("web"), service("web")).changes.map(({ kind }) => kind)).toEqual(["added"]);
  });
});
