import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mergePatch, startTestApi, type TestApi } from "../test-api.ts";

const services = "/api/v1/namespaces/default/services";
let api: TestApi;

const service = (name: string, spec: object = {}): object => ({
  metadata: { name },
  spec: { selector: { app: "web" }, ports: [{ port: 80 }], ...spec },
});

beforeEach(async () => {
  api = await startTestApi({ nodePorts: [30000, 30039] });
});
afterEach(() => api.stop());

describe("cluster addresses", () => {
  it("come from the upper band", async () => {
    const { status, body } = await api.call("POST", services, service("a"));
    expect(status).toBe(201);
    const [, , third, fourth] = body.spec.clusterIP.split(".").map(Number);
    expect(third * 256 + fourth).toBeGreaterThan(256);
    expect(body.spec.clusterIPs).toEqual([body.spec.clusterIP]);
  });

  it("are given as asked, once", async () => {
    const one = await api.call("POST", services, service("a", { clusterIP: "10.96.0.10" }));
    expect(one.body.spec.clusterIP).toBe("10.96.0.10");
    const two = await api.call("POST", services, service("b", { clusterIP: "10.96.0.10" }));
    expect(two.status).toBe(422);
    expect(two.body.message).toBe(
      'Service "b" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: provided IP is already allocated',
    );
  });

  it("must be in the range", async () => {
    const { status, body } = await api.call("POST", services, service("a", { clusterIP: "192.0.2.7" }));
    expect(status).toBe(422);
    expect(body.details.causes[0].message).toContain("the provided network does not match the current range");
  });

  it("are free again after a delete", async () => {
    await api.call("POST", services, service("a", { clusterIP: "10.96.0.10" }));
    await api.call("DELETE", `${services}/a`);
    expect((await api.call("POST", services, service("b", { clusterIP: "10.96.0.10" }))).status).toBe(201);
  });

  it("are free again, with ports, when a Service becomes an ExternalName", async () => {
    await api.call(
      "POST",
      services,
      service("a", { type: "NodePort", clusterIP: "10.96.0.10", ports: [{ port: 80, nodePort: 30005 }] }),
    );
    const change = {
      spec: { type: "ExternalName", externalName: "a.example", clusterIP: null, clusterIPs: null, ports: null },
    };
    expect((await api.call("PATCH", `${services}/a`, change, mergePatch)).status).toBe(200);
    const again = service("b", { type: "NodePort", clusterIP: "10.96.0.10", ports: [{ port: 80, nodePort: 30005 }] });
    expect((await api.call("POST", services, again)).status).toBe(201);
  });

  it("stay over an update that does not name them", async () => {
    const { body } = await api.call("POST", services, service("a", { type: "NodePort" }));
    const put = await api.call("PUT", `${services}/a`, service("a", { type: "NodePort", ports: [{ port: 81 }] }));
    expect(put.status).toBe(200);
    expect(put.body.spec.clusterIP).toBe(body.spec.clusterIP);
    expect(put.body.spec.ports[0].nodePort).toBe(body.spec.ports[0].nodePort);
  });

  it("are given to none of two that ask at once for the same but one", async () => {
    const answers = await Promise.all(
      ["a", "b", "c", "d"].map((name) => api.call("POST", services, service(name, { clusterIP: "10.96.0.77" }))),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 422, 422, 422]);
  });

  it("are never given twice, until the range is full", async () => {
    await api.stop();
    api = await startTestApi({ serviceCidrs: ["10.96.0.0/27"] });
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => api.call("POST", services, service(`s${i}`))),
    );
    const given = answers.filter(({ status }) => status === 201).map(({ body }) => body.spec.clusterIP);
    // 32 less network, broadcast and the one of the Service `kubernetes`.
    expect(new Set(given).size).toBe(29);
    expect(given).toHaveLength(29);
    const full = answers.find(({ status }) => status !== 201);
    expect(full?.body.message).toContain("failed to allocate a serviceIP: range is full");
  });

  it("are not taken by a dry run", async () => {
    await api.call("POST", `${services}?dryRun=All`, service("a", { clusterIP: "10.96.0.10" }));
    expect((await api.call("GET", `${services}/a`)).status).toBe(404);
    expect((await api.call("POST", services, service("b", { clusterIP: "10.96.0.10" }))).status).toBe(201);
  });
});

describe("node ports", () => {
  it("are given as asked, once, and only inside the range", async () => {
    const nodePort = (name: string, port: number): object =>
      service(name, { type: "NodePort", ports: [{ port: 80, nodePort: port }] });
    expect((await api.call("POST", services, nodePort("a", 30007))).status).toBe(201);
    const taken = await api.call("POST", services, nodePort("b", 30007));
    expect(taken.body.message).toBe(
      'Service "b" is invalid: spec.ports[0].nodePort: Invalid value: 30007: provided port is already allocated',
    );
    const outside = await api.call("POST", services, nodePort("c", 80));
    expect(outside.body.details.causes).toEqual([
      {
        reason: "FieldValueInvalid",
        field: "spec.ports[0].nodePort",
        message: "Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-30039",
      },
    ]);
  });

  it("are shared by the protocols of one port of a Service", async () => {
    const ports = [
      { name: "dns", port: 53, protocol: "UDP" },
      { name: "dns-tcp", port: 53, protocol: "TCP" },
      { name: "metrics", port: 9153 },
    ];
    const { body } = await api.call("POST", services, service("a", { type: "NodePort", ports }));
    const [udp, tcp, metrics] = body.spec.ports.map(({ nodePort }: { nodePort: number }) => nodePort);
    expect(udp).toBe(tcp);
    expect(metrics).not.toBe(tcp);
  });

  it("are not given to a load balancer that does without them", async () => {
    const { body } = await api.call(
      "POST",
      services,
      service("a", { type: "LoadBalancer", allocateLoadBalancerNodePorts: false }),
    );
    expect(body.spec.ports[0].nodePort).toBeUndefined();
  });

  it("include one for health checks of a local load balancer, given back when it is local no more", async () => {
    const local = { type: "LoadBalancer", externalTrafficPolicy: "Local", healthCheckNodePort: 30001 };
    const { body } = await api.call("POST", services, service("a", local));
    expect(body.spec.healthCheckNodePort).toBe(30001);
    const change = { spec: { externalTrafficPolicy: "Cluster", healthCheckNodePort: null } };
    expect((await api.call("PATCH", `${services}/a`, change, mergePatch)).status).toBe(200);
    const again = await api.call(
      "POST",
      services,
      service("b", { type: "NodePort", ports: [{ port: 80, nodePort: 30001 }] }),
    );
    expect(again.status).toBe(201);
  });

  it("end with the range", async () => {
    const answers = await Promise.all(
      Array.from({ length: 45 }, (_, i) => api.call("POST", services, service(`s${i}`, { type: "NodePort" }))),
    );
    const given = answers.filter(({ status }) => status === 201).map(({ body }) => body.spec.ports[0].nodePort);
    expect(new Set(given).size).toBe(40);
    expect(given).toHaveLength(40);
  });
});

describe("IPAddress and ServiceCIDR", () => {
  const ips = "/apis/networking.k8s.io/v1/ipaddresses";
  const cidrs = "/apis/networking.k8s.io/v1/servicecidrs";

  it("a Service's address is an object, which goes with it and not before", async () => {
    const created = await api.call("POST", services, service("addressed", { ports: [{ port: 80 }] }));
    const { clusterIP } = created.body.spec;
    const address = await api.call("GET", `${ips}/${clusterIP}`);
    expect(address.body).toMatchObject({
      metadata: { labels: { "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io" } },
      spec: { parentRef: { resource: "services", namespace: "default", name: "addressed" } },
    });
    const refused = await api.call("DELETE", `${ips}/${clusterIP}`);
    expect(refused.body).toMatchObject({ code: 403, message: expect.stringContaining("delete the Service first") });
    await api.call("DELETE", `${services}/addressed`);
    expect((await api.call("GET", `${ips}/${clusterIP}`)).status).toBe(404);
  });

  it("addresses of a further ServiceCIDR can be asked for", async () => {
    const outside = service("elsewhere", { clusterIP: "10.200.0.7", ports: [{ port: 80 }] });
    expect((await api.call("POST", services, outside)).status).toBe(422);
    const further = {
      apiVersion: "networking.k8s.io/v1",
      kind: "ServiceCIDR",
      metadata: { name: "further" },
      spec: { cidrs: ["10.200.0.0/24"] },
    };
    expect((await api.call("POST", cidrs, further)).status).toBe(201);
    expect((await api.call("POST", services, outside)).status).toBe(201);
    expect((await api.call("GET", `${cidrs}/kubernetes`)).body).toMatchObject({
      metadata: { finalizers: ["networking.k8s.io/service-cidr-finalizer"] },
      status: { conditions: [{ type: "Ready", status: "True" }] },
    });
  });
});
