import { expect, test } from "vitest";
import type { Ingress, IngressTLS } from "../../kube/index.ts";
import type { Gateway, ListenerSet, ListenerSpec } from "../../routing/index.ts";
import { selfSigned } from "../self-signed.ts";
import { askedByIngresses, askedByListeners, type AskingListener } from "./asks.ts";
import { challengeRoutes } from "./challenge-routes.ts";
import { waitOf } from "./protocol.ts";
import { issuerAnnotation, nextStep, wantedCertificates } from "./wanted.ts";

const annotated = { "fairlead.dev/acme": "true" };

function ingress(
  name: string,
  tls: IngressTLS[],
  hosts: string[] = [],
  namespace = "shop",
  annotations = annotated,
): Ingress {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: { name, namespace, annotations },
    spec: { tls, rules: hosts.map((host) => ({ host })) },
  };
}

test("entries of one Secret are one certificate; without the annotation there is none", () => {
  const one = ingress("one", [{ secretName: "a", hosts: ["b.test", "a.test"] }, { hosts: ["no-secret.test"] }]);
  const two = ingress("two", [{ secretName: "a", hosts: ["c.test", "a.test"] }]);
  const three = ingress("three", [{ secretName: "b" }], ["d.test"]);
  const silent = ingress("silent", [{ secretName: "c", hosts: ["e.test"] }], [], "shop", {} as typeof annotated);
  const { certificates, unprovable } = wantedCertificates(askedByIngresses([one, two, three, silent]));
  expect([...certificates].map(([key, { hosts }]) => [key, hosts])).toEqual([
    ["shop/a", ["a.test", "b.test", "c.test"]],
    ["shop/b", ["d.test"]],
  ]);
  expect([...(certificates.get("shop/a")?.askers.keys() ?? [])]).toEqual([one, two]);
  expect(unprovable).toEqual([]);
});

test.each(["*.a.test", "localhost", "192.0.2.1", "a_b.test", "A.test", "-a.test", ""])(
  "%j cannot be proved",
  (host) => {
    const { certificates, unprovable } = wantedCertificates(
      askedByIngresses([ingress("one", [{ secretName: "a", hosts: [host, "ok.test"] }])]),
    );
    expect(certificates.get("shop/a")?.hosts).toEqual(["ok.test"]);
    expect(unprovable).toMatchObject([{ host, field: "spec.tls[0]" }]);
  },
);

test("a host is that of the namespace that had it first", () => {
  const older = ingress("older", [], ["a.test"]);
  const thief = ingress("thief", [{ secretName: "x", hosts: ["a.test"] }], ["a.test"], "zoo");
  expect(wantedCertificates(askedByIngresses([older, thief])).certificates.size).toBe(0);
  expect([...wantedCertificates(askedByIngresses([thief, older])).certificates.keys()]).toEqual(["zoo/x"]);
});

function gateway(
  name: string,
  listeners: ListenerSpec[],
  annotations: Record<string, string> = annotated,
): AskingListener[] {
  const metadata = { name, namespace: "shop", annotations };
  const holder: Gateway = {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "Gateway",
    metadata,
    spec: { gatewayClassName: "fairlead", listeners },
  };
  return listeners.map((spec, i) => ({ holder, field: `spec.listeners[${i}]`, spec }));
}

const https = (hostname: string, secret: string, more: object = {}): ListenerSpec => ({
  name: hostname,
  port: 443,
  protocol: "HTTPS",
  hostname,
  tls: { certificateRefs: [{ name: secret, ...more }] },
});

test("a Gateway asks for the host names of its listeners that end TLS, in Secrets of its namespace", () => {
  const one = gateway("one", [
    { name: "http", port: 80, protocol: "HTTP" },
    https("a.test", "a"),
    https("B.test", "a"),
    https("*.test", "a"),
    https("", "a"),
    https("c.test", "c", { namespace: "zoo" }),
    https("d.test", "d", { group: "example.com", kind: "Vault" }),
    { ...https("e.test", "e"), tls: { mode: "Passthrough", certificateRefs: [{ name: "e" }] } },
  ]);
  const { certificates, unprovable } = wantedCertificates(askedByListeners(one));
  expect([...certificates].map(([key, { hosts }]) => [key, hosts])).toEqual([["shop/a", ["a.test", "b.test"]]]);
  expect(unprovable.map(({ field, host }) => [field, host])).toEqual([
    ["spec.listeners[3]", "*.test"],
    ["spec.listeners[4]", ""],
    ["spec.listeners[5]", "c.test"],
  ]);
});

test("each name is proved through one Ingress, and through every Gateway that asks for it", () => {
  const all = [...Array(20).keys()].map((i) => `h${i}.test`);
  const asked = [
    ...askedByIngresses([
      ingress("one", [{ secretName: "a", hosts: ["h0.test", "h1.test"] }]),
      ingress("two", [{ secretName: "a", hosts: ["h1.test"] }]),
    ]),
    ...askedByListeners(
      gateway(
        "gate",
        all.map((host) => https(host, "a")),
      ),
    ),
  ];
  const certificate = wantedCertificates(asked).certificates.get("shop/a");
  if (!certificate) throw new Error("nothing is wanted");
  const challenges = all.map((host) => ({ type: "http-01" as const, host, token: `token-of-${host}`, answer: "" }));
  const routes = challengeRoutes(certificate, challenges);
  expect(routes.map(({ kind, challenges: own }) => [kind, own.length])).toEqual([
    ["Ingress", 2],
    ["HTTPRoute", 16],
    ["HTTPRoute", 4],
  ]);
  expect(new Set(routes.map(({ name }) => name)).size).toBe(3);
});

test("names are proved as who asks for them first says, through who leads there; what is no such way is told", () => {
  const byTls = { ...annotated, "fairlead.dev/acme-challenge-type": "tls-alpn-01" };
  const set: ListenerSet = {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "ListenerSet",
    metadata: { name: "more", namespace: "shop", annotations: byTls },
    spec: { parentRef: { name: "gate", namespace: "infra" }, listeners: [https("c.test", "a")] },
  };
  const asked = [
    ...askedByIngresses([
      ingress("one", [{ secretName: "a", hosts: ["a.test"] }], [], "shop", byTls),
      ingress("two", [{ secretName: "a", hosts: ["a.test", "b.test"] }]),
      ingress("odd", [{ secretName: "a", hosts: ["d.test"] }], [], "shop", {
        ...annotated,
        "fairlead.dev/acme-challenge-type": "dns-01",
      } as typeof annotated),
    ]),
    ...askedByListeners([{ holder: set, field: "spec.listeners[0]", spec: https("c.test", "a") }]),
  ];
  const { certificates, unprovable } = wantedCertificates(asked);
  expect(unprovable.map(({ host, why }) => `${host} ${why}`)).toEqual([
    'd.test cannot be proved by "dns-01" (fairlead.dev/acme-challenge-type): http-01 or tls-alpn-01',
  ]);
  const certificate = certificates.get("shop/a");
  if (!certificate) throw new Error("nothing is wanted");
  expect([...certificate.types]).toEqual([
    ["a.test", "tls-alpn-01"],
    ["b.test", "http-01"],
    ["c.test", "tls-alpn-01"],
  ]);
  const challenges = [...certificate.types].map(([host, type]) => ({ type, host, token: "token", answer: "" }));
  const routes = challengeRoutes(certificate, challenges);
  expect(routes.map(({ kind, challenges: own }) => [kind, own.map(({ host }) => host)])).toEqual([
    ["Ingress", ["a.test"]],
    ["Ingress", ["b.test"]],
    ["TLSRoute", ["c.test"]],
  ]);
  expect(routes.map(({ draft }) => draft.metadata.annotations?.["fairlead.dev/alpn"])).toEqual([
    "acme-tls/1",
    undefined,
    "acme-tls/1",
  ]);
  expect(routes[2]?.draft.spec).toMatchObject({ parentRefs: [{ kind: "ListenerSet", name: "more", port: 443 }] });
  const clear = challengeRoutes(certificate, [{ type: "http-01", host: "c.test", token: "token", answer: "" }]);
  expect(clear[0]?.draft.spec).toMatchObject({
    parentRefs: [
      { kind: "Gateway", namespace: "infra", name: "gate", port: 80 },
      { kind: "ListenerSet", name: "more", port: 80 },
    ],
  });
});

test("a certificate is renewed when a third of its life is left, and made anew for other names or by another authority", () => {
  const begin = Date.parse("2026-01-01T00:00:00Z");
  const { certificate, key } = selfSigned(begin, ["a.test", "b.test"]);
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  const secret = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "a", namespace: "shop", annotations: { [issuerAnnotation]: "https://ca.test/dir" } },
    data: { "tls.crt": base64(certificate), "tls.key": base64(key) },
  } as const;
  const wanted = { namespace: "shop", name: "a", hosts: ["a.test"], types: new Map(), askers: new Map() };
  const step = nextStep(wanted, secret, "https://ca.test/dir", begin);
  const until = step.act === "wait" ? step.until : 0;
  const days = (until - begin) / 86_400_000;
  expect(days).toBeGreaterThan(240);
  expect(days).toBeLessThan(250);
  expect(nextStep(wanted, secret, "https://ca.test/dir", until - 1)).toEqual(step);
  expect(nextStep(wanted, secret, "https://ca.test/dir", until).act).toBe("issue");
  expect(nextStep({ ...wanted, hosts: ["c.test"] }, secret, "https://ca.test/dir", begin).act).toBe("issue");
  expect(nextStep(wanted, secret, "https://other.test/dir", begin).act).toBe("issue");
  expect(nextStep(wanted, undefined, "https://ca.test/dir", begin).act).toBe("issue");
  expect(nextStep(wanted, { ...secret, data: {} }, "https://ca.test/dir", begin).act).toBe("issue");
  const foreign = { ...secret, metadata: { name: "a", namespace: "shop" } };
  expect(nextStep(wanted, foreign, "https://ca.test/dir", until).act).toBe("leave");
});

test("Retry-After: seconds, a date, nonsense", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  expect(waitOf("120", now)).toBe(120_000);
  expect(waitOf("Thu, 01 Jan 2026 00:01:00 GMT", now)).toBe(60_000);
  expect(waitOf("Wed, 31 Dec 2025 00:00:00 GMT", now)).toBe(0);
  expect(waitOf("999999999", now)).toBe(86_400_000);
  expect(waitOf("soon", now)).toBeUndefined();
  expect(waitOf(undefined, now)).toBeUndefined();
});
