import { describe, expect, test } from "vitest";
import type { EndpointSlice, Service } from "../kube/index.ts";
import { answer } from "./zone.ts";
import { clusterAddresses, serviceOf, type ClusterView } from "./view.ts";

const zone = { domain: "cluster.local", serial: 7 };

function service(name: string, spec: object, namespace = "shop"): Service {
  return { apiVersion: "v1", kind: "Service", metadata: { name, namespace }, spec };
}

function slice(ofService: string, endpoints: object[], ports: object[] = []): EndpointSlice {
  const metadata = { name: `${ofService}-1`, namespace: "shop", labels: { "kubernetes.io/service-name": ofService } };
  const slice = { apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata, addressType: "IPv4" };
  return { ...slice, endpoints, ports } as EndpointSlice;
}

const http = { name: "http", port: 80, protocol: "TCP" };
const services = [
  service("web", {
    clusterIP: "10.96.0.20",
    clusterIPs: ["10.96.0.20", "fd00::20"],
    ports: [http, { name: "dns", port: 53, protocol: "UDP" }, { port: 9 }],
  }),
  service("db", { clusterIP: "None", clusterIPs: ["None"], ports: [{ name: "sql", port: 5432 }] }),
  service("early", { clusterIP: "None", clusterIPs: ["None"], publishNotReadyAddresses: true }),
  service("idle", { clusterIP: "None", clusterIPs: ["None"], ports: [http] }),
  service("other", { type: "ExternalName", externalName: "www.example.com" }),
  service("waiting", { type: "LoadBalancer" }),
  service("kube-dns", { clusterIP: "10.96.0.10", clusterIPs: ["10.96.0.10"] }, "kube-system"),
];
const slices = [
  slice("web", [{ addresses: ["10.42.0.9"] }], [http]),
  slice(
    "db",
    [
      { addresses: ["10.42.0.1"], hostname: "db-0", conditions: { ready: true } },
      { addresses: ["10.42.0.2"], conditions: {} },
      { addresses: ["10.42.0.3"], hostname: "db-2", conditions: { ready: false, serving: true, terminating: true } },
    ],
    [{ name: "sql", port: 15_432, protocol: "TCP" }],
  ),
  slice("early", [{ addresses: ["10.42.0.4"], conditions: { ready: false } }]),
  slice("idle", [{ addresses: ["10.42.0.5"], conditions: { ready: false } }], [http]),
  slice("gone", [{ addresses: ["10.42.0.6"] }]),
];

const view: ClusterView = {
  service: (namespace, name) =>
    services.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name),
  slices: (namespace, name) => slices.filter((one) => one.metadata.namespace === namespace && serviceOf(one) === name),
  hasNamespace: (name) => ["shop", "kube-system", "empty"].includes(name),
  hasPod: (namespace, ip) => namespace === "shop" && (ip === "10.42.0.1" || ip === "fd00::1"),
  servicesAt: (ip) => services.filter((one) => clusterAddresses(one).includes(ip)),
  slicesAt: (ip) => slices.filter((one) => (one.endpoints ?? []).some((endpoint) => endpoint.addresses.includes(ip))),
};

function ask(name: string, type = "A") {
  const found = answer({ name, type }, view, zone);
  if (!found) return "elsewhere";
  if (found.rcode === "NXDOMAIN") return "NXDOMAIN";
  const records = found.answers.map((record) => {
    return record.type === "SRV"
      ? `${record.data.priority} ${record.data.weight} ${record.data.port} ${record.data.target}`
      : (record.data as string);
  });
  return records.length > 0 ? records : "NODATA";
}

describe("names of Services (2.3, 2.5)", () => {
  test.each<[string, string, string | string[]]>([
    ["web.shop.svc.cluster.local", "A", ["10.96.0.20"]],
    ["web.shop.svc.cluster.local", "AAAA", ["fd00::20"]],
    ["WEB.Shop.SVC.cluster.LOCAL", "A", ["10.96.0.20"]],
    ["web.shop.svc.cluster.local", "TXT", "NODATA"],
    ["web.shop.svc.cluster.local", "SRV", "NODATA"],
    ["web.shop.svc.cluster.local", "UNKNOWN_65", "NODATA"],
    ["web.shop.svc.cluster.local", "ANY", ["10.96.0.20", "fd00::20"]],
    ["kube-dns.kube-system.svc.cluster.local", "AAAA", "NODATA"],
    ["waiting.shop.svc.cluster.local", "A", "NODATA"],
    ["_http._tcp.web.shop.svc.cluster.local", "SRV", ["0 100 80 web.shop.svc.cluster.local"]],
    ["_HTTP._TCP.web.shop.svc.cluster.local", "SRV", ["0 100 80 web.shop.svc.cluster.local"]],
    ["_dns._udp.web.shop.svc.cluster.local", "SRV", ["0 100 53 web.shop.svc.cluster.local"]],
    ["_http._tcp.web.shop.svc.cluster.local", "A", "NODATA"],
    ["_http._udp.web.shop.svc.cluster.local", "SRV", "NXDOMAIN"],
    ["_https._tcp.web.shop.svc.cluster.local", "SRV", "NXDOMAIN"],
    ["_tcp.web.shop.svc.cluster.local", "SRV", "NODATA"],
    ["_sctp.web.shop.svc.cluster.local", "SRV", "NXDOMAIN"],
    ["x._http._tcp.web.shop.svc.cluster.local", "SRV", "NXDOMAIN"],
    ["10-42-0-9.web.shop.svc.cluster.local", "A", "NXDOMAIN"],
    ["other.shop.svc.cluster.local", "CNAME", ["www.example.com"]],
    ["other.shop.svc.cluster.local", "A", ["www.example.com"]],
    ["x.other.shop.svc.cluster.local", "A", "NXDOMAIN"],
  ])("%s %s", (name, type, expected) => {
    expect(ask(name, type)).toEqual(expected);
  });

  test("only a question for what the other name has is led on", () => {
    const alias = (type: string) => answer({ name: "other.shop.svc.cluster.local", type }, view, zone)?.alias;
    expect([alias("A"), alias("AAAA"), alias("CNAME")]).toEqual(["www.example.com", "www.example.com", undefined]);
  });
});

describe("names of headless Services (2.4)", () => {
  test.each<[string, string, string | string[]]>([
    ["db.shop.svc.cluster.local", "A", ["10.42.0.1", "10.42.0.2"]],
    ["db.shop.svc.cluster.local", "AAAA", "NODATA"],
    ["db-0.db.shop.svc.cluster.local", "A", ["10.42.0.1"]],
    ["10-42-0-2.db.shop.svc.cluster.local", "A", ["10.42.0.2"]],
    ["10-42-0-1.db.shop.svc.cluster.local", "A", "NXDOMAIN"],
    ["db-2.db.shop.svc.cluster.local", "A", "NXDOMAIN"],
    ["x.db-0.db.shop.svc.cluster.local", "A", "NXDOMAIN"],
    [
      "_sql._tcp.db.shop.svc.cluster.local",
      "SRV",
      ["0 100 15432 db-0.db.shop.svc.cluster.local", "0 100 15432 10-42-0-2.db.shop.svc.cluster.local"],
    ],
    ["_tcp.db.shop.svc.cluster.local", "SRV", "NODATA"],
    ["early.shop.svc.cluster.local", "A", ["10.42.0.4"]],
    ["idle.shop.svc.cluster.local", "A", "NXDOMAIN"],
    ["_http._tcp.idle.shop.svc.cluster.local", "SRV", "NXDOMAIN"],
  ])("%s %s", (name, type, expected) => {
    expect(ask(name, type)).toEqual(expected);
  });

  test("an SRV answer carries the addresses of its targets", () => {
    const found = answer({ name: "_sql._tcp.db.shop.svc.cluster.local", type: "SRV" }, view, zone);
    expect(found?.additionals).toMatchObject([
      { name: "db-0.db.shop.svc.cluster.local", type: "A", data: "10.42.0.1", ttl: 5 },
      { name: "10-42-0-2.db.shop.svc.cluster.local", type: "A", data: "10.42.0.2", ttl: 5 },
    ]);
  });
});

describe("the other names of the zone", () => {
  test.each<[string, string, string | string[]]>([
    ["cluster.local", "NS", ["ns.dns.cluster.local"]],
    ["cluster.local", "A", "NODATA"],
    ["ns.dns.cluster.local", "A", ["10.96.0.10"]],
    ["dns.cluster.local", "A", "NODATA"],
    ["x.dns.cluster.local", "A", "NXDOMAIN"],
    ["dns-version.cluster.local", "TXT", ["1.1.0"]],
    ["x.dns-version.cluster.local", "TXT", "NXDOMAIN"],
    ["svc.cluster.local", "A", "NODATA"],
    ["shop.svc.cluster.local", "A", "NODATA"],
    ["empty.svc.cluster.local", "A", "NODATA"],
    ["nowhere.svc.cluster.local", "A", "NXDOMAIN"],
    ["nothing.shop.svc.cluster.local", "A", "NXDOMAIN"],
    ["web.nowhere.svc.cluster.local", "A", "NXDOMAIN"],
    ["example.com.shop.svc.cluster.local", "A", "NXDOMAIN"],
    ["web.shop.cluster.local", "A", "NXDOMAIN"],
    ["*.shop.svc.cluster.local", "A", "NXDOMAIN"],
    ["pod.cluster.local", "A", "NODATA"],
    ["shop.pod.cluster.local", "A", "NODATA"],
    ["10-42-0-1.shop.pod.cluster.local", "A", ["10.42.0.1"]],
    ["fd00--1.shop.pod.cluster.local", "AAAA", ["fd00::1"]],
    ["10-42-0-1.empty.pod.cluster.local", "A", "NXDOMAIN"],
    ["10-42-0-77.shop.pod.cluster.local", "A", "NXDOMAIN"],
    ["x.10-42-0-1.shop.pod.cluster.local", "A", "NXDOMAIN"],
    ["example.com", "A", "elsewhere"],
    ["xcluster.local", "A", "elsewhere"],
    ["local", "A", "elsewhere"],
    ["", "NS", "elsewhere"],
  ])("%s %s", (name, type, expected) => {
    expect(ask(name, type)).toEqual(expected);
  });

  test("a negative answer carries the SOA, a positive one does not", () => {
    const soa = { name: "cluster.local", type: "SOA", ttl: 5, data: { serial: 7, minimum: 5 } };
    const of = (name: string, type: string) => answer({ name, type }, view, zone)?.authorities;
    expect(of("nothing.shop.svc.cluster.local", "A")).toMatchObject([soa]);
    expect(of("db.shop.svc.cluster.local", "AAAA")).toMatchObject([soa]);
    expect(of("web.shop.svc.cluster.local", "A")).toEqual([]);
    expect(answer({ name: "cluster.local", type: "SOA" }, view, zone)?.answers).toMatchObject([soa]);
  });

  test("every answer may be cached for 5 seconds and has the name as it was asked", () => {
    const found = answer({ name: "Web.Shop.svc.cluster.local", type: "A" }, view, zone);
    expect(found?.answers).toEqual([
      { name: "Web.Shop.svc.cluster.local", type: "A", class: "IN", ttl: 5, data: "10.96.0.20" },
    ]);
  });
});

describe("reverse names", () => {
  test.each<[string, string | string[]]>([
    ["20.0.96.10.in-addr.arpa", ["web.shop.svc.cluster.local"]],
    ["1.0.42.10.IN-ADDR.ARPA", ["db-0.db.shop.svc.cluster.local"]],
    ["2.0.42.10.in-addr.arpa", ["10-42-0-2.db.shop.svc.cluster.local"]],
    ["3.0.42.10.in-addr.arpa", "elsewhere"],
    ["9.0.42.10.in-addr.arpa", "elsewhere"],
    ["6.0.42.10.in-addr.arpa", "elsewhere"],
    ["8.8.8.8.in-addr.arpa", "elsewhere"],
    ["96.10.in-addr.arpa", "elsewhere"],
    ["300.0.96.10.in-addr.arpa", "elsewhere"],
    [`0.2.0.0.${"0.".repeat(24)}0.0.d.f.ip6.arpa`, ["web.shop.svc.cluster.local"]],
    [`0.2.0.0.${"0.".repeat(24)}0.0.x.f.ip6.arpa`, "elsewhere"],
  ])("%s", (name, expected) => {
    expect(ask(name, "PTR")).toEqual(expected);
  });

  test("has no other records", () => {
    expect(ask("20.0.96.10.in-addr.arpa", "A")).toBe("NODATA");
  });
});
