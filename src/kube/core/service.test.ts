import { describe, expect, it } from "vitest";
import type { Service } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { strategyFor } from "../strategies.ts";
import { create, update } from "../testing.ts";

const { Service: service } = resources;
const port = { port: 80 };
const spec = (value: object) => create(service, { spec: { ports: [port], ...value } });
/** A Service that exists, with its address allocated. */
const existing = (value: object = {}) =>
  spec({ clusterIP: "10.96.0.7", clusterIPs: ["10.96.0.7"], ...value }).object as Service;

describe("defaults", () => {
  it("fills in a ClusterIP Service", () => {
    expect(spec({}).object).toEqual({
      apiVersion: "v1",
      kind: "Service",
      metadata: { namespace: "default", name: "x" },
      spec: {
        ports: [{ port: 80, protocol: "TCP", targetPort: 80 }],
        type: "ClusterIP",
        sessionAffinity: "None",
        internalTrafficPolicy: "Cluster",
        ipFamilies: ["IPv4"],
        ipFamilyPolicy: "SingleStack",
      },
      status: { loadBalancer: {} },
    });
  });

  it.each([
    [{ type: "NodePort" }, { externalTrafficPolicy: "Cluster" }],
    [{ type: "LoadBalancer" }, { externalTrafficPolicy: "Cluster", allocateLoadBalancerNodePorts: true }],
    [{ externalIPs: ["192.0.2.1"] }, { externalTrafficPolicy: "Cluster" }],
    [{ sessionAffinity: "ClientIP" }, { sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } } }],
    [
      { clusterIP: "None", selector: { a: "b" } },
      { clusterIPs: ["None"], ipFamilyPolicy: "SingleStack" },
    ],
    [{ clusterIP: "None" }, { ipFamilies: ["IPv4", "IPv6"], ipFamilyPolicy: "RequireDualStack" }],
    [{ ipFamilyPolicy: "PreferDualStack" }, { ipFamilies: ["IPv4"], ipFamilyPolicy: "PreferDualStack" }],
    [{ ports: [{ port: 53, targetPort: "dns" }] }, { ports: [{ port: 53, protocol: "TCP", targetPort: "dns" }] }],
  ])("%j", (given, expected) => {
    const { object, faults } = spec(given);
    expect(faults).toEqual([]);
    expect((object as Service).spec).toMatchObject(expected);
  });
});

describe("validation", () => {
  const rangeText = "must be between 1 and 65535, inclusive";
  it.each<[object, ...string[]]>([
    [{ ports: [] }, "spec.ports: Required value"],
    [
      { ports: [{ port: 0 }] },
      `spec.ports[0].port: Invalid value: 0: ${rangeText}`,
      `spec.ports[0].targetPort: Invalid value: 0: ${rangeText}`,
    ],
    [{ ports: [{ port: 70_000, targetPort: 80 }] }, `spec.ports[0].port: Invalid value: 70000: ${rangeText}`],
    [
      { ports: [{ port: 80 }, { port: 81 }] },
      "spec.ports[0].name: Required value",
      "spec.ports[1].name: Required value",
    ],
    [
      {
        ports: [
          { name: "a", port: 80 },
          { name: "a", port: 81 },
        ],
      },
      'spec.ports[1].name: Duplicate value: "a"',
    ],
    [
      {
        ports: [
          { name: "a", port: 80 },
          { name: "b", port: 80 },
        ],
      },
      'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}',
    ],
    [
      {
        type: "NodePort",
        ports: [
          { name: "a", port: 80, nodePort: 30_080 },
          { name: "b", port: 81, nodePort: 30_080 },
        ],
      },
      "spec.ports[1].nodePort: Duplicate value: 30080",
    ],
    [
      { ports: [{ port: 80, nodePort: 30_080 }] },
      "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
    ],
    [
      { ports: [{ port: 80, protocol: "HTTP" }] },
      'spec.ports[0].protocol: Unsupported value: "HTTP": supported values: "SCTP", "TCP", "UDP"',
    ],
    [
      { ports: [{ port: 80, targetPort: "a--b" }] },
      'spec.ports[0].targetPort: Invalid value: "a--b": must not contain consecutive hyphens',
    ],
    [
      { type: "Foo" },
      'spec.type: Unsupported value: "Foo": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"',
    ],
    [
      { type: "LoadBalancer", clusterIP: "None" },
      "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services",
    ],
    [{ type: "ExternalName" }, "spec.externalName: Required value"],
    [
      { type: "ExternalName", externalName: "example.com", clusterIP: "10.96.0.5" },
      "spec.clusterIPs: Forbidden: may not be set for ExternalName services",
    ],
    [
      { clusterIP: "10.96.0.300" },
      'spec.clusterIPs[0]: Invalid value: "10.96.0.300": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    ],
    [{ clusterIP: "10.096.0.5" }, 'spec.clusterIPs[0]: Invalid value: "10.096.0.5": must not have leading 0s'],
    [
      { clusterIP: "10.96.0.5", clusterIPs: ["10.96.0.6"] },
      'spec.clusterIPs: Invalid value: ["10.96.0.6"]: first value must match `clusterIP`',
    ],
    [
      { ipFamilyPolicy: "RequireDualStack" },
      'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
    ],
    [{ ipFamilies: ["IPv6"] }, 'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'],
    [{ ipFamilies: ["IPv5"] }, 'spec.ipFamilies[0]: Unsupported value: "IPv5": supported values: "IPv4", "IPv6"'],
    [
      { externalIPs: ["127.0.0.1"] },
      'spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
    ],
    [
      { externalIPs: ["x"] },
      'spec.externalIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    ],
    [
      { sessionAffinity: "Cookie" },
      'spec.sessionAffinity: Unsupported value: "Cookie": supported values: "ClientIP", "None"',
    ],
    [
      { sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds: 90_000 } } },
      "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 90000: must be greater than 0 and less than 86400",
    ],
    [
      { loadBalancerSourceRanges: ["10.0.0.0/8"] },
      "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
    ],
    [
      { type: "LoadBalancer", loadBalancerSourceRanges: ["10.0.0.1/8", "10.0.0.0/33"] },
      'spec.LoadBalancerSourceRanges[0]: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length',
      'spec.LoadBalancerSourceRanges[1]: Invalid value: "10.0.0.0/33": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
    ],
    [{ loadBalancerClass: "a/b" }, "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"],
    [
      { allocateLoadBalancerNodePorts: true },
      "spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'",
    ],
    [
      { externalTrafficPolicy: "Local" },
      'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services',
    ],
    [
      { healthCheckNodePort: 30_000 },
      "spec.healthCheckNodePort: Invalid value: 30000: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
    ],
    [
      { internalTrafficPolicy: "Near" },
      'spec.internalTrafficPolicy: Unsupported value: "Near": supported values: "Cluster", "Local"',
    ],
    [
      { trafficDistribution: "Near" },
      'spec.trafficDistribution: Unsupported value: "Near": supported values: "PreferClose", "PreferSameZone", "PreferSameNode"',
    ],
  ])("%j", (given, ...expected) => {
    expect(spec(given).faults).toEqual(expected);
  });

  it("wants a name that can be a DNS label", () => {
    const { faults } = create(service, { metadata: { name: "1web" }, spec: { ports: [port] } });
    expect(faults).toEqual([
      "metadata.name: Invalid value: \"1web\": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
    ]);
  });

  it("lets loopback be an address where the cluster lives on it", () => {
    const given = { spec: { ports: [port], externalIPs: ["127.0.0.5"] } };
    expect(create(service, given, { allowLoopback: true }).faults).toEqual([]);
  });
});

describe("update", () => {
  it("keeps what was allocated when a client leaves it out", () => {
    const old = existing({ type: "NodePort", ports: [{ name: "a", port: 80, nodePort: 30_100 }] });
    const { object, faults } = update(service, old, (draft: Service) => {
      delete draft.spec.clusterIP;
      delete draft.spec.clusterIPs;
      delete draft.spec.ipFamilies;
      draft.spec.ports = [{ name: "a", port: 81 }];
    });
    expect(faults).toEqual([]);
    expect((object as Service).spec).toMatchObject({
      clusterIP: "10.96.0.7",
      clusterIPs: ["10.96.0.7"],
      ipFamilies: ["IPv4"],
      ports: [{ name: "a", port: 81, nodePort: 30_100 }],
    });
  });

  it("refuses another address", () => {
    const { faults } = update(service, existing(), (draft: Service) => {
      draft.spec.clusterIP = "10.96.0.8";
    });
    expect(faults).toEqual(['spec.clusterIPs[0]: Invalid value: ["10.96.0.8"]: may not change once set']);
  });

  it("gives up address and node port when it becomes an ExternalName", () => {
    const old = existing({ type: "NodePort", ports: [{ port: 80, nodePort: 30_100 }] });
    const { object, faults } = update(service, old, (draft: Service) => {
      draft.spec.type = "ExternalName";
      draft.spec.externalName = "example.com";
    });
    expect(faults).toEqual([]);
    expect((object as Service).spec).toEqual({
      type: "ExternalName",
      externalName: "example.com",
      sessionAffinity: "None",
      ports: [{ port: 80, protocol: "TCP", targetPort: 80 }],
    });
  });

  it("gives up its node ports when it becomes a ClusterIP, also with one port more", () => {
    const old = existing({ type: "NodePort", ports: [{ name: "a", port: 80, nodePort: 30_100 }] });
    const { object, faults } = update(service, old, (draft: Service) => {
      draft.spec.type = "ClusterIP";
      draft.spec.ports?.push({ name: "b", port: 81 });
    });
    expect(faults).toEqual([]);
    expect((object as Service).spec.ports?.map(({ nodePort }) => nodePort)).toEqual([undefined, undefined]);
    expect((object as Service).spec).not.toHaveProperty("externalTrafficPolicy");
  });

  it("forgets the load balancer when it is none any more", () => {
    const old = existing({ type: "LoadBalancer", loadBalancerClass: "example.com/lb" });
    old.status = { loadBalancer: { ingress: [{ ip: "10.97.0.1", ipMode: "VIP" }] } };
    const { object, faults } = update(service, old, (draft: Service) => {
      draft.spec.type = "ClusterIP";
    });
    expect(faults).toEqual([]);
    expect((object as Service).status).toEqual({ loadBalancer: {} });
    expect((object as Service).spec).not.toHaveProperty("loadBalancerClass");
    expect((object as Service).spec).not.toHaveProperty("allocateLoadBalancerNodePorts");
  });

  it("keeps the class of a load balancer", () => {
    const old = existing({ type: "LoadBalancer", loadBalancerClass: "example.com/a" });
    const { faults } = update(service, old, (draft: Service) => {
      draft.spec.loadBalancerClass = "example.com/b";
    });
    expect(faults).toEqual(['spec.loadBalancerClass: Invalid value: "example.com/b": may not change once set']);
  });
});

describe("status", () => {
  const write = (old: Service, status: object) =>
    update(
      service,
      old,
      (draft: { status: object; spec: object }) => {
        draft.status = status;
        draft.spec = { ports: [{ port: 9 }] };
      },
      { subresource: "status" },
    );

  it("writes the status and nothing else", () => {
    const old = existing({ type: "LoadBalancer" });
    const { object, faults } = write(old, { loadBalancer: { ingress: [{ ip: "10.97.0.1" }] } });
    expect(faults).toEqual([]);
    expect((object as Service).spec).toEqual(old.spec);
    expect((object as Service).status).toEqual({ loadBalancer: { ingress: [{ ip: "10.97.0.1", ipMode: "VIP" }] } });
  });

  it.each<[object, object, string]>([
    [
      {},
      [{ ip: "10.97.0.1" }],
      "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'",
    ],
    [
      { type: "LoadBalancer" },
      [{ hostname: "10.0.0.1" }],
      'status.loadBalancer.ingress[0].hostname: Invalid value: "10.0.0.1": must be a DNS name, not an IP address',
    ],
    [
      { type: "LoadBalancer" },
      [{ hostname: "a.b", ipMode: "VIP" }],
      "status.loadBalancer.ingress[0].ipMode: Forbidden: may not be specified when `ip` is not set",
    ],
  ])("%j %j", (given, ingress, expected) => {
    expect(write(existing(given), { loadBalancer: { ingress } }).faults).toEqual([expected]);
  });
});

it("warns of what has no effect", () => {
  const { object } = spec({ clusterIP: "None", sessionAffinity: "ClientIP" });
  expect(strategyFor(service).warnings(object)).toEqual(["spec.SessionAffinity is ignored for headless services"]);
});
