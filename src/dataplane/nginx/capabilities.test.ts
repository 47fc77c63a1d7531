import { expect, test } from "vitest";
import type { ClientValidation, Pool, RoutingModel, Server } from "../../routing/index.ts";
import { capabilities, capabilitiesForHttp, refusedBy } from "./capabilities.ts";

const owner = { object: { kind: "Gateway", name: "g" }, field: "" };

function modelOf(pools: readonly Partial<Pool>[], clients?: ClientValidation): RoutingModel {
  const all = pools.map((more, i): Pool => ({
    key: `p${i}`,
    service: { namespace: "a", name: "db" },
    port: "1",
    protocol: "tcp",
    endpoints: [],
    ...more,
  }));
  const backends = all.map(({ key }) => ({ pool: key, weight: 1, filters: [], owner }));
  const any = { id: "only", host: "", rule: { id: "r", filters: [], backends, timeouts: {}, owner }, owner };
  const server: Server = {
    kind: "stream",
    hostname: "",
    owner,
    streams: { exact: new Map(), wildcard: new Map(), any },
    ...(clients ? { tls: { certificates: new Map(), clients } } : {}),
  };
  return {
    listeners: [{ name: "l", port: 443, protocol: clients ? "TLS" : "TCP", servers: new Map([["", server]]) }],
    pools: new Map(all.map((pool) => [pool.key, pool])),
  };
}

const featuresOf = (...asked: Parameters<typeof modelOf>): string[] =>
  refusedBy(modelOf(...asked)).map(({ feature }) => feature);

test("the PROXY protocol is of one version, and for all that a port leads to", () => {
  expect(featuresOf([{}, {}])).toEqual([]);
  expect(featuresOf([{ proxyProtocol: 1 }, { proxyProtocol: 1 }])).toEqual([]);
  expect(featuresOf([{ proxyProtocol: 2 }])).toEqual(["ProxyProtocol"]);
  expect(featuresOf([{ proxyProtocol: 1 }, {}])).toEqual(["ProxyProtocol"]);
});

test("no bytes go in clear, or past a certificate, where more is asked for", () => {
  const tls = { serverName: "a.example", subjectAltNames: [], authorities: "System" };
  expect(featuresOf([{ tls }])).toEqual(["BackendTLSPolicy"]);
  expect(featuresOf([{}], { mode: "AllowValidOnly", authorities: "PEM" })).toEqual([
    "GatewayFrontendClientCertificateValidation",
  ]);
});

test("behind forwarders, a port inside knows too little of clients to limit them", () => {
  const rule = { id: "r", backends: [], timeouts: {}, owner };
  const filters = [{ type: "SourceRanges" as const, allow: ["10.0.0.0/8"], deny: [], satisfyAny: false }];
  const route = { id: "only", host: "", headers: [], query: [], rule: { ...rule, filters }, owner };
  const hosts = { semantics: "Ingress" as const, exact: new Map(), wildcard: new Map(), fallback: route };
  const server: Server = { kind: "http", hostname: "", owner, hosts, tls: { certificates: new Map() } };
  const servers = new Map([["", server]]);
  const model = (protocol: "HTTPS" | "TLS"): RoutingModel => ({
    listeners: [{ name: "l", port: 443, protocol, servers }],
    pools: new Map(),
  });
  expect(refusedBy(model("TLS"), capabilities, true)).toEqual([{ route: "only", feature: "SourceRanges" }]);
  expect(refusedBy(model("TLS"), capabilities, false)).toEqual([]);
  expect(refusedBy(model("HTTPS"), capabilities, true)).toEqual([]);
});

test("without its modules for streams it claims none", () => {
  const missing = [...capabilities].filter((feature) => !capabilitiesForHttp.has(feature)).sort();
  expect(missing).toEqual([
    "CleartextHTTP2",
    "GRPCRoute",
    "ProxyProtocol",
    "TCPRoute",
    "TLSRoute",
    "TLSRouteModeMixed",
    "TLSRouteModeTerminate",
    "UDPRoute",
  ]);
});
