import { describe, expect, it } from "vitest";
import type { EndpointSlice, Event, Ingress, IngressClass, Node, Pod, Service } from "../kube/index.ts";
import { type ClusterObjects, type Exposure, noObjects } from "./exposure.ts";
import { exposures, type ExposureOptions } from "./exposures.ts";

const meta = (name: string, rest: object = {}) => ({ namespace: "shop", name, ...rest });

const service = (name: string, spec: object, status: object = {}): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: meta(name),
  spec,
  status,
});

const slice = (of: string, endpoints: { address: string; ready?: boolean }[]): EndpointSlice => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: meta(`${of}-1`, { labels: { "kubernetes.io/service-name": of } }),
  addressType: "IPv4",
  ports: [{ name: "http", port: 8080, protocol: "TCP" }],
  endpoints: endpoints.map(({ address, ready }) => ({
    addresses: [address],
    conditions: ready === undefined ? {} : { ready },
  })),
});

const pod = (name: string, status: object, nodeName = "node-1"): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: meta(name, { labels: { app: "web" } }),
  spec: { nodeName, containers: [{ name: "echo", ports: [{ name: "http", containerPort: 8080 }] }] },
  status,
});

const node = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "node-1" },
  spec: {},
  status: { addresses: [{ type: "InternalIP", address: "192.0.2.7" }] },
} as Node;

const fairleadClass: IngressClass = {
  apiVersion: "networking.k8s.io/v1",
  kind: "IngressClass",
  metadata: { name: "fairlead" },
  spec: { controller: "example.com/us" },
};

const ingress = (spec: object, addresses: string[] = ["192.0.2.7"]): Ingress => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "Ingress",
  metadata: meta("web"),
  spec: { ingressClassName: "fairlead", ...spec },
  status: { loadBalancer: { ingress: addresses.map((ip) => ({ ip })) } },
});

const ports = [{ name: "http", port: 80, targetPort: "http", protocol: "TCP" }];
const selector = { app: "web" };

function explain(objects: Partial<ClusterObjects>, frontends: ExposureOptions["frontends"] = []): Exposure[] {
  return exposures(
    { ...noObjects, ...objects },
    {
      clusterDomain: "cluster.local",
      frontends,
      controllerName: "example.com/us",
      ports: { http: 80, https: 8443 },
      inspect: () => undefined,
    },
  );
}

describe("exposures of a Service", () => {
  it("shows a ClusterIP with its name and how many endpoints are ready", () => {
    const rows = explain({
      services: [service("web", { clusterIP: "10.96.0.5", ports, selector })],
      slices: [slice("web", [{ address: "10.42.0.2" }, { address: "10.42.0.3", ready: false }])],
    });
    expect(rows).toEqual([
      {
        namespace: "shop",
        kind: "Service",
        name: "web",
        way: "ClusterIP",
        addresses: ["10.96.0.5:80/TCP"],
        names: ["web.shop.svc.cluster.local"],
        endpoints: { ready: 1, total: 2 },
      },
    ]);
  });

  it("gives a load balancer a row for each way in", () => {
    const rows = explain({
      nodes: [node],
      services: [
        service(
          "web",
          { type: "LoadBalancer", clusterIP: "10.96.0.5", ports: [{ ...ports[0], nodePort: 30080 }], selector },
          { loadBalancer: { ingress: [{ ip: "10.97.0.1" }] } },
        ),
      ],
      slices: [slice("web", [{ address: "10.42.0.2" }])],
    });
    expect(rows.map(({ way, addresses }) => [way, ...addresses])).toEqual([
      ["ClusterIP", "10.96.0.5:80/TCP"],
      ["NodePort", "192.0.2.7:30080/TCP"],
      ["LoadBalancer", "10.97.0.1:80/TCP"],
    ]);
    expect(rows.every((row) => row.reason === undefined)).toBe(true);
  });

  it("lists the pods behind a headless Service, and where an ExternalName leads", () => {
    const rows = explain({
      services: [
        service("pods", { clusterIP: "None", ports, selector }),
        service("partner", { type: "ExternalName", externalName: "example.org" }),
      ],
      slices: [slice("pods", [{ address: "10.42.0.2" }, { address: "10.42.0.3" }])],
    });
    expect(rows.map(({ way, addresses }) => [way, ...addresses])).toEqual([
      ["ExternalName", "example.org"],
      ["Headless", "10.42.0.2:8080/TCP", "10.42.0.3:8080/TCP"],
    ]);
  });

  const reasonOf = (objects: Partial<ClusterObjects>) =>
    explain({ services: [service("web", { clusterIP: "10.96.0.5", ports, selector })], ...objects })[0]?.reason;

  it("says that no pod matches the selector", () => {
    expect(reasonOf({})).toBe("no pod has the labels app=web");
  });

  it("says why a pod waits", () => {
    const waiting = { reason: "ErrImagePull", message: "image is not mapped" };
    const status = { containerStatuses: [{ name: "echo", ready: false, state: { waiting } }] };
    expect(reasonOf({ pods: [pod("web-1", status)] })).toBe(
      "0 of 1 pods ready: web-1 container echo waits: ErrImagePull: image is not mapped",
    );
  });

  it("says why a pod is not scheduled", () => {
    const status = { conditions: [{ type: "PodScheduled", status: "False", message: "0/1 nodes are available" }] };
    expect(reasonOf({ pods: [pod("web-1", status, "")] })).toContain("is not scheduled: 0/1 nodes are available");
  });

  it("quotes a failing probe", () => {
    const unhealthy = {
      apiVersion: "v1",
      kind: "Event",
      metadata: meta("e"),
      involvedObject: { kind: "Pod", namespace: "shop", name: "web-1" },
      reason: "Unhealthy",
      message: "Readiness probe failed: HTTP 500",
    } as Event;
    const status = { containerStatuses: [{ name: "echo", ready: false, state: { running: {} } }] };
    expect(reasonOf({ pods: [pod("web-1", status)], events: [unhealthy] })).toContain(
      "Readiness probe failed: HTTP 500",
    );
  });

  it("names a targetPort that no pod has", () => {
    const ready = { conditions: [{ type: "Ready", status: "True" }] };
    const other = service("web", { clusterIP: "10.96.0.5", ports: [{ ...ports[0], targetPort: "grpc" }], selector });
    expect(reasonOf({ services: [other], pods: [pod("web-1", ready)] })).toContain('no pod has a port named "grpc"');
  });

  it("tells the port that really answers, and why one does not", () => {
    const frontend = {
      service: "shop/web",
      kind: "ClusterIP",
      protocol: "TCP",
      address: "127.96.0.5",
      port: 80,
    } as const;
    const objects = {
      services: [service("web", { clusterIP: "127.96.0.5", ports, selector })],
      slices: [slice("web", [{ address: "127.42.0.2" }])],
    };
    expect(explain(objects, [{ ...frontend, actualPort: 8080 }])[0]?.addresses).toEqual(["127.96.0.5:8080/TCP"]);
    expect(explain(objects, [{ ...frontend, problem: "port 80 is in use" }])[0]?.reason).toBe("port 80 is in use");
  });

  it("says why a load balancer has no address", () => {
    const condition = { type: "Address", status: "False", message: "the pool 10.97.0.0/24 is used up" };
    const rows = explain({
      services: [service("web", { type: "LoadBalancer", clusterIP: "10.96.0.5", ports }, { conditions: [condition] })],
      slices: [slice("web", [{ address: "10.42.0.2" }])],
    });
    expect(rows.at(-1)).toMatchObject({ way: "LoadBalancer", reason: "the pool 10.97.0.0/24 is used up" });
  });

  it("says whose class a load balancer has that nobody answers for", () => {
    const spec = { type: "LoadBalancer" as const, clusterIP: "10.96.0.5", ports, loadBalancerClass: "other.example/x" };
    const rows = explain({ services: [service("web", spec)], slices: [slice("web", [{ address: "10.42.0.2" }])] });
    expect(rows.at(-1)?.reason).toBe('class "other.example/x" is for another controller, which has not answered');
  });
});

describe("exposures of an Ingress", () => {
  const rules = (name: string, path = "/") => ({
    rules: [
      {
        host: "www.example.test",
        http: { paths: [{ path, pathType: "Prefix", backend: { service: { name, port: { number: 80 } } } }] },
      },
    ],
  });
  const web = {
    classes: [fairleadClass],
    services: [service("web", { clusterIP: "10.96.0.5", ports, selector })],
    slices: [slice("web", [{ address: "10.42.0.2" }])],
  };
  const ingressRows = (objects: Partial<ClusterObjects>) =>
    explain({ ...web, ...objects }).filter(({ kind }) => kind === "Ingress");

  it("shows the URL of each path", () => {
    expect(ingressRows({ ingresses: [ingress(rules("web", "/shop"))] })).toEqual([
      {
        namespace: "shop",
        kind: "Ingress",
        name: "web",
        way: "Ingress",
        addresses: ["http://www.example.test/shop"],
        names: ["www.example.test"],
        endpoints: { ready: 1, total: 1 },
      },
    ]);
  });

  it("names the Service that is missing, and the field", () => {
    const [row] = ingressRows({ ingresses: [ingress(rules("shop"))] });
    expect(row?.reason).toContain("spec.rules[0].http.paths[0].backend.service.name");
    expect(row?.reason).toContain("shop/shop does not exist");
  });

  it("names the Secret that is missing", () => {
    const rows = ingressRows({
      ingresses: [ingress({ ...rules("web"), tls: [{ hosts: ["www.example.test"], secretName: "web-tls" }] })],
    });
    expect(rows.map(({ reason }) => reason).join()).toContain("web-tls");
  });

  it("says that nobody serves its class", () => {
    const [row] = ingressRows({ ingresses: [ingress({ ...rules("web"), ingressClassName: "nginx" })] });
    expect(row?.reason).toContain("nginx");
    expect(row?.addresses).toEqual([]);
  });

  it("says that no data plane has confirmed it", () => {
    expect(ingressRows({ ingresses: [ingress(rules("web"), [])] })[0]?.reason).toContain("confirmed");
  });
});
