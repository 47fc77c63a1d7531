import { describe, expect, test } from "vitest";
import type { ClientValidation, Filter, HostRoutes, Owner, Pool, Route, RoutingModel } from "../../routing/index.ts";
import { capabilitiesOf, isPaced, refusedBy } from "./capabilities.ts";

const owner: Owner = { object: { kind: "Ingress", namespace: "a", name: "web" }, field: "" };

function modelOf(filters: readonly Filter[], more: Partial<Pool> = {}, clients?: ClientValidation): RoutingModel {
  const rule = { id: "r", filters, backends: [{ pool: "web", weight: 1, filters: [], owner }], timeouts: {}, owner };
  const path = { type: "Prefix" as const, value: "" };
  const route: Route = { id: "r", host: "", path, headers: [], query: [], rule, owner };
  const any: HostRoutes = { exact: new Map(), regex: [], prefix: new Map([["", [route]]]), longestPrefix: 0 };
  const hosts = { semantics: "Ingress", exact: new Map(), wildcard: new Map(), any } as const;
  const tls = { certificates: new Map(), ...(clients ? { clients } : {}) };
  const pool = (key: string, own: Partial<Pool> = {}): Pool => ({
    key,
    service: { namespace: "a", name: key },
    port: "80",
    protocol: "http",
    endpoints: [],
    ...own,
  });
  return {
    listeners: [
      {
        name: "web",
        port: 443,
        protocol: "HTTPS",
        servers: new Map([["", { kind: "http", hostname: "", tls, hosts, owner } as const]]),
      },
    ],
    pools: new Map([
      ["web", pool("web")],
      ["other", pool("other", more)],
    ]),
  };
}

const refused = (model: RoutingModel): string[] => refusedBy(model).map(({ feature }) => feature);

describe("what a route asks for, and this HAProxy cannot do", () => {
  const ask: Filter = {
    type: "ExternalAuth",
    pool: "other",
    host: "auth.test",
    path: ["/"],
    signinParameter: "rd",
    responseHeaders: [],
  };
  const pages: Filter = { type: "ErrorPages", pool: "other", codes: [404], about: {} };

  test("to ask whom the program does not reach", () => {
    for (const filter of [ask, pages]) {
      expect(refused(modelOf([filter]))).toEqual([]);
      expect(refused(modelOf([filter], { protocol: "h2c" }))).toEqual([filter.type]);
      expect(refused(modelOf([filter], { proxyProtocol: 1 }))).toEqual([filter.type]);
    }
  });

  test("to count more of a request than HAProxy does", () => {
    const users = { secret: { kind: "Secret", namespace: "a", name: "users" }, version: "1", layout: "file" } as const;
    const digest: Filter = { type: "DigestAuth", realm: "r", users };
    const rate = (id: string): Filter => ({
      type: "RateLimit",
      id,
      requests: 1,
      seconds: 1,
      burst: 1,
      exempt: [],
      status: 503,
    });
    expect(refused(modelOf([digest, rate("a")]))).toEqual([]);
    expect(refused(modelOf([digest, rate("a"), rate("b")]))).toEqual(["DigestAuth"]);
  });

  test("to check clients by what cannot be read", () => {
    const unreadable = { authorities: "nonsense" };
    expect(refused(modelOf([], {}, { mode: "Ask", ...unreadable }))).toEqual(["ClientCertificate"]);
    // A neighbour on the same port is none the worse.
    const [listener] = modelOf([]).listeners;
    const whole = listener?.servers.get("");
    if (!listener || whole?.kind !== "http" || !whole.hosts.any) throw new Error("there is a server");
    const route = (id: string): HostRoutes => {
      const [[first]] = [...(whole.hosts.any?.prefix.values() ?? [])] as [Route[]];
      return { exact: new Map(), regex: [], prefix: new Map([["", [{ ...first, id } as Route]]]), longestPrefix: 0 };
    };
    const exact = new Map(["guarded.test", "other.test"].map((host) => [host, route(host)]));
    const guarded = new Map([...exact].slice(0, 1));
    const clients: ClientValidation = { mode: "Ask", ...unreadable };
    const servers = new Map([
      ["", { ...whole, hosts: { ...whole.hosts, exact } }],
      [
        "guarded.test",
        {
          ...whole,
          hostname: "guarded.test",
          hosts: { ...whole.hosts, exact: guarded },
          tls: { certificates: new Map(), clients },
        },
      ],
    ]);
    const model = { listeners: [{ ...listener, servers }], pools: new Map() };
    expect(refusedBy(model)).toEqual([{ route: "guarded.test", feature: "ClientCertificate" }]);
    // Nobody is served there anyway.
    expect(refused(modelOf([], {}, { mode: "AllowValidOnly", ...unreadable }))).toEqual([]);
  });

  test("answers have a rate from HAProxy 2.7 on", () => {
    const model = modelOf([{ type: "AnswerRate", bytes: 1024, after: 0 }]);
    expect([isPaced(model), isPaced(modelOf([]))]).toEqual([true, false]);
    const told = [206, 207, 300].map((version) =>
      refusedBy(model, capabilitiesOf(version)).map(({ feature }) => feature),
    );
    expect(told).toEqual([["AnswerRate"], [], []]);
  });
});
