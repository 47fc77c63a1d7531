import { expect, it } from "vitest";
import type { EndpointSlice, Service } from "../../../kube/index.ts";
import { readManifest } from "./manifest.ts";
import { templateData } from "./template-data.ts";

let age = 0;
function service(key: string, annotations: Record<string, string> = {}, spec: object = {}): Service {
  const [namespace = "", name = ""] = key.split("/");
  const creationTimestamp = new Date(Date.UTC(2026, 0, 1) + 1000 * ++age).toISOString();
  const ports = [{ port: 80, targetPort: "web" }];
  return {
    kind: "Service",
    metadata: { namespace, name, annotations, creationTimestamp },
    spec: { ports, ...spec },
  } as Service;
}
const slice = (addressType: "IPv4" | "IPv6", address: string) =>
  ({
    kind: "EndpointSlice",
    metadata: { namespace: "a", name: "s" },
    addressType,
    ports: [{ name: "", port: 8080, protocol: "TCP" }],
    endpoints: [{ addresses: [address] }],
  }) as EndpointSlice;

function rows(services: readonly Service[], more: object = {}) {
  const { data, problems } = templateData({
    services,
    slices: () => [slice("IPv4", "10.0.0.1"), slice("IPv6", "fd00::1")],
    tcpServices: [{ name: "mysql", port: 3306 }],
    forwardServices: false,
    balance: "roundrobin",
    sslCert: "",
    startSyslog: false,
    ...more,
  });
  return { ...(data as { services: Record<string, readonly Record<string, unknown>[]> }), problems };
}

it("gives templates the original's fields: what the API says by default keeps nobody, and a named port is resolved", () => {
  const { services, problems } = rows([service("a/web", {}, { sessionAffinity: "None" })]);
  expect(problems).toEqual([]);
  expect(services["http"]).toEqual([
    {
      Name: "web",
      Ep: ["10.0.0.1:8080", "[fd00::1]:8080"],
      BackendPort: 8080,
      FrontendPort: 80,
      Host: "",
      SslTerm: false,
      AclMatch: "",
      Algorithm: "roundrobin",
      SessionAffinity: false,
      CookieStickySession: false,
    },
  ]);
});

it("names of two namespaces are two, ports are kept apart, TCP is by its port", () => {
  const ports = { ports: [{ port: 3306 }, { port: 81 }, { port: 53, protocol: "UDP" }] };
  const { services } = rows([service("a/web"), service("b/web"), service("a/mysql", {}, ports)]);
  expect(services["http"]?.map(({ Name }) => Name)).toEqual(["web", "b.web", "mysql:81"]);
  expect(services["tcp"]).toMatchObject([{ Name: "mysql:3306", FrontendPort: 3306 }]);
});

it.each([
  ["lb.host", "a.b\nserver evil"],
  ["lb.aclMatch", "/x }\n acl"],
  ["lb.algorithm", "roundrobin\nserver evil 1.2.3.4"],
  ["lb.sslTerm", "yes please"],
])("%s: %j is told and reaches no template", (name, value) => {
  const { services, problems } = rows([service("a/web", { [`serviceloadbalancer/${name}`]: value })]);
  expect(problems).toHaveLength(1);
  expect(JSON.stringify(services)).not.toMatch(/evil|acl|please/);
});

it("HTTPS without a certificate is not served in clear", () => {
  const { services, problems } = rows([service("a/web", { "serviceloadbalancer/lb.sslTerm": "true" })]);
  expect([services["http"], services["httpsTerm"]]).toEqual([[], []]);
  expect(problems).toMatchObject([{ reason: "InvalidCertificate" }]);
});

it.each([
  ["{", "is not JSON"],
  ["[]", "is not a map"],
  ['{"name":"x"}', "template: a text is needed"],
  ['{"name":"x","template":1,"config":"c","reloadCmd":"r"}', "template: a text is needed"],
  ['{"name":"x","template":"t","config":"c","reloadCmd":"r","also":1}', '"also" is unknown'],
])("a manifest that says %s", (text, fault) => {
  expect(readManifest(text)).toMatchObject({ fault: expect.stringContaining(fault) as string });
});
