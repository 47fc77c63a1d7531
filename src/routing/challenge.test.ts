import { expect, test } from "vitest";
import type { Ingress } from "../kube/index.ts";
import { challengeFor } from "./challenge.ts";
import type { RoutingModel } from "./model.ts";
import * as gatewayApi from "./gateway/testing.ts";
import { ingress, reached, rule, translate } from "./testing.ts";

const byTls = { "fairlead.dev/acme": "true", "fairlead.dev/acme-challenge-type": "tls-alpn-01" };
const leads = { "fairlead.dev/alpn": "acme-tls/1" };

/** Key of the pool that a connection for a proof goes to. */
function proofOf({ listeners }: RoutingModel, serverName: string, ...protocols: string[]): string | undefined {
  const listener = listeners.find(({ port }) => port === 443);
  return listener && challengeFor(listener, { serverName, protocols })?.rule.backends[0]?.pool;
}

test("only who offers acme-tls/1 alone, for a name that is being proved, is led to its proof", () => {
  const site = ingress("site", { rules: [rule("x.test", ["Prefix", "/", "a"])] });
  const lead = ingress("lead", { rules: [rule("x.test", ["Exact", "/token", "b"])] }, { annotations: leads });
  const translation = translate([site, lead]);
  const { model, problems, targets } = translation;
  expect(problems).toEqual([]);
  expect(proofOf(model, "x.test", "acme-tls/1")).toBe("ns/b:80/tcp");
  expect(targets.get("ns/b:80/tcp")).toMatchObject({ service: "b", protocol: "tcp" });
  for (const [name = "", ...offered] of [
    ["x.test"],
    ["x.test", "h2", "http/1.1"],
    ["x.test", "acme-tls/1", "h2"],
    ["x.test", "h2", "acme-tls/1"],
    ["x.test", "ACME-TLS/1"],
    ["y.test", "acme-tls/1"],
    ["", "acme-tls/1"],
  ])
    expect(proofOf(model, name, ...offered), `${name} ${offered.join()}`).toBeUndefined();
  // Its path is no route.
  expect(reached(translation, "x.test", "/token")).toBe("a");
});

test("a listener says that names are proved there while somebody asks for that, and only then", () => {
  const challenges = (...all: Ingress[]) =>
    translate(all).model.listeners.map((listener) => [listener.name, listener.challenges?.size]);
  const rules = { rules: [rule("x.test", ["Prefix", "/", "a"])] };
  const none = [
    ["http", undefined],
    ["https", undefined],
  ];
  expect(challenges(ingress("plain", rules, { annotations: { "fairlead.dev/acme": "true" } }))).toEqual(none);
  const type = { "fairlead.dev/acme-challenge-type": "tls-alpn-01" };
  expect(challenges(ingress("silent", rules, { annotations: type }))).toEqual(none);
  expect(challenges(ingress("asks", rules, { annotations: byTls }))).toEqual([
    ["http", undefined],
    ["https", 0],
  ]);
});

test("the proofs of a host are its namespace's, and the older of two leads them", () => {
  const site = ingress("site", { rules: [rule("x.test", ["Prefix", "/", "a"])] });
  const lead = (name: string, created: string): Ingress =>
    ingress(name, { rules: [rule("x.test", ["Exact", "/t", "b"])] }, { annotations: leads, created });
  const thief = lead("thief", "2031-01-01T00:00:00Z");
  const foreign: Ingress = { ...thief, metadata: { ...thief.metadata, namespace: "zoo" } };
  const stolen = translate([site, foreign]);
  expect(proofOf(stolen.model, "x.test", "acme-tls/1")).toBeUndefined();
  expect(stolen.problems).toMatchObject([{ object: { namespace: "zoo", name: "thief" }, reason: "Conflict" }]);
  const two = translate([site, lead("late", "2032-01-01T00:00:00Z"), lead("early", "2031-01-01T00:00:00Z")]);
  expect(two.problems).toMatchObject([{ object: { name: "late" }, reason: "Conflict" }]);
  const wild = ingress("wild", { rules: [rule("*.x.test", ["Exact", "/t", "b"])] }, { annotations: leads });
  expect(translate([wild]).problems).toMatchObject([{ reason: "InvalidAnnotation", field: "spec.rules[0]" }]);
});

const https = { port: 443, protocol: "HTTPS", tls: { certificateRefs: [{ name: "none-yet" }] } };

function annotated<T extends { metadata: object }>(object: T, annotations: Record<string, string>): T {
  return { ...object, metadata: { ...object.metadata, annotations } };
}

/** A TLSRoute that leads proofs. */
const lead = (name: string, hostnames: string[], more: { namespace?: string; parent?: object } = {}) =>
  annotated(
    gatewayApi.route(
      name,
      {
        parentRefs: [{ name: "gw", namespace: "ns", port: 443, ...more.parent }],
        hostnames,
        rules: [gatewayApi.to("a")],
      },
      { kind: "TLSRoute", ...(more.namespace === undefined ? {} : { namespace: more.namespace }) },
    ),
    leads,
  );

test("a Gateway's port takes proofs before it has a certificate, and nobody else", () => {
  const gateway = annotated(gatewayApi.gateway([gatewayApi.http("https", { ...https, hostname: "x.test" })]), byTls);
  const { model, gateways, routes } = gatewayApi.translate({
    gateways: [gateway],
    tlsRoutes: [lead("lead", ["x.test"])],
  });
  expect(proofOf(model, "x.test", "acme-tls/1")).toBe("ns/a:80/tcp");
  const [listener] = model.listeners;
  expect(listener?.protocol).toBe("TLS");
  expect([...(listener?.servers.values() ?? [])]).toMatchObject([{ kind: "stream", hostname: "" }]);
  expect(gateways[0]?.ports.map(({ port }) => port)).toEqual([443]);
  expect(gateways[0]?.listeners.own[0]).toMatchObject({ usable: false, attached: 0 });
  expect([...routes.values()][0]?.parents[0]?.conditions[0]).toMatchObject({ type: "Accepted", status: "True" });
  // Without that annotation nothing is opened.
  const silent = gatewayApi.translate({ gateways: [gatewayApi.gateway(gateway.spec.listeners ?? [])] });
  expect(silent.model.listeners).toEqual([]);
});

test("proofs are led by routes of the namespace of who has the listener, whatever routes it takes", () => {
  const listener = gatewayApi.http("https", {
    ...https,
    hostname: "x.test",
    allowedRoutes: { namespaces: { from: "All" }, kinds: [{ kind: "HTTPRoute" }] },
  });
  const set = annotated(
    gatewayApi.listenerSet("more", [gatewayApi.http("more", { ...https, hostname: "y.test" })]),
    byTls,
  );
  const world = {
    gateways: [annotated(gatewayApi.gateway([listener], { allowedListeners: { namespaces: { from: "All" } } }), byTls)],
    listenerSets: [set],
  };
  const foreign = gatewayApi.translate({ ...world, tlsRoutes: [lead("lead", ["x.test"], { namespace: "zoo" })] });
  expect(proofOf(foreign.model, "x.test", "acme-tls/1")).toBeUndefined();
  const parent = { kind: "ListenerSet", name: "more" };
  const own = gatewayApi.translate({
    ...world,
    tlsRoutes: [lead("lead", ["x.test"]), lead("other", ["y.test"], { parent })],
  });
  expect(proofOf(own.model, "x.test", "acme-tls/1")).toBe("ns/a:80/tcp");
  expect(proofOf(own.model, "y.test", "acme-tls/1")).toBe("ns/a:80/tcp");
});
