import { describe, expect, test } from "vitest";
import type { Route } from "../../routing/index.ts";
import type { Finished } from "../finished.ts";
import { samplePool as pool, sampleRoute } from "../sample.ts";
import { type Span, spanOf } from "./span.ts";

const path = { type: "Prefix", value: "/cart" } as const;
const route = sampleRoute({ kind: "HTTPRoute", path });
const trace = {
  traceId: "0af7651916cd43dd8448eb211c80319c",
  spanId: "00f067aa0ba902b7",
  parentId: "b7ad6b7169203331",
  flags: 1,
  scheme: "https",
  ended: 1_700_000_000_123.5,
};
const finished: Finished = {
  id: "r-1",
  method: "GET",
  host: "shop.test:8443",
  target: "/cart/7?a=b&sig=secret",
  protocol: "HTTP/2.0",
  client: "192.0.2.1",
  header: (name) => ({ "user-agent": "curl/8", tracestate: "a=1" })[name],
  route,
  pool,
  endpoint: "10.0.0.1:80",
  code: 200,
  bytes: 12,
  milliseconds: 23.25,
  trace,
};

const attributes = (span: Span | undefined): Readonly<Record<string, string>> =>
  Object.fromEntries(
    (span?.attributes ?? []).map(({ key, value }) => [key, "intValue" in value ? value.intValue : value.stringValue]),
  );

describe("a span", () => {
  test("has the name that its rule gives it", () => {
    const spanName = ["cart ", { variable: "request_method" }];
    const named = { ...route, rule: { ...route.rule, spanName } };
    expect(spanOf({ ...finished, route: named })?.name).toBe("cart GET");
    expect(spanOf({ ...finished, route: named, method: "MADEUP" })?.name).toBe("cart HTTP");
  });

  test("says by the names of the conventions what became of a request, and by ours which object led it", () => {
    const span = spanOf(finished);
    expect(span).toMatchObject({
      traceId: trace.traceId,
      spanId: trace.spanId,
      parentSpanId: trace.parentId,
      traceState: "a=1",
      flags: 0x301,
      name: "GET /cart",
      kind: 2,
      startTimeUnixNano: "1700000000100250000",
      endTimeUnixNano: "1700000000123500000",
    });
    expect(span).not.toHaveProperty("status");
    expect(attributes(span)).toEqual({
      "http.request.method": "GET",
      "url.scheme": "https",
      "url.path": "/cart/7",
      "url.query": "a=b&sig=REDACTED",
      "http.route": "/cart",
      "server.address": "shop.test",
      "server.port": "8443",
      "client.address": "192.0.2.1",
      "network.protocol.version": "2",
      "user_agent.original": "curl/8",
      "http.response.status_code": "200",
      "fairlead.request.id": "r-1",
      "fairlead.route.kind": "HTTPRoute",
      "fairlead.route.namespace": "shop",
      "fairlead.route.name": "web",
      "fairlead.route.rule": "spec.rules[0]",
      "fairlead.backend": "shop/web:80",
      "fairlead.endpoint": "10.0.0.1:80",
    });
  });

  test("is named by the path of a route as people have written it", () => {
    const of = (path: Route["path"] | undefined): string | undefined => {
      const { path: _path, ...rest } = route;
      return spanOf({ ...finished, route: path ? { ...rest, path } : rest })?.name;
    };
    expect(of({ type: "RegularExpression", value: "(?i)(?:/a(/|$)(.*)).*" })).toBe("GET /a(/|$)(.*)");
    expect(of({ type: "RegularExpression", value: "/v[12]" })).toBe("GET /v[12]");
    expect(of({ type: "Prefix", value: "" })).toBe("GET /");
    expect(of(undefined)).toBe("GET /");
  });

  test("is there of a request that is recorded only", () => {
    expect(spanOf({ ...finished, trace: { ...trace, flags: 2 } })).toBeUndefined();
    const { trace: _trace, ...untraced } = finished;
    expect(spanOf(untraced)).toBeUndefined();
  });

  test("where a trace begins: no parent, and nothing of vendors", () => {
    const { parentId: _parent, ...own } = trace;
    const span = spanOf({ ...finished, trace: { ...own, flags: 3 } });
    expect(span).toMatchObject({ flags: 0x103 });
    expect(span).not.toHaveProperty("parentSpanId");
    expect(span).not.toHaveProperty("traceState");
  });

  test("leaves out what vendors say when it cannot be read", () => {
    expect(spanOf({ ...finished, header: () => "no state" })).not.toHaveProperty("traceState");
  });

  test("of a fault of the server is an error; that of a client, and one who leaves, is none", () => {
    expect(spanOf({ ...finished, code: 503 })).toMatchObject({ status: { code: 2 } });
    expect(attributes(spanOf({ ...finished, code: 503 }))).toMatchObject({
      "error.type": "503",
      "http.response.status_code": "503",
    });
    expect(spanOf({ ...finished, code: 404 })).not.toHaveProperty("status");
    expect(attributes(spanOf({ ...finished, code: 404 }))).not.toHaveProperty("error.type");
    expect(spanOf({ ...finished, code: 499 })).not.toHaveProperty("status");
    expect(attributes(spanOf({ ...finished, code: 499 }))).toMatchObject({ "error.type": "499" });
    expect(attributes(spanOf({ ...finished, code: 499 }))).not.toHaveProperty("http.response.status_code");
  });

  test("of a method or target of any kind has a name of few", () => {
    const { route: _route, pool: _pool, endpoint: _endpoint, ...lost } = finished;
    const odd = { ...lost, method: "BREW", target: "http://other.test", host: "[fd00::1]:80", protocol: "HTTP/1.0" };
    const span = spanOf(odd);
    expect(span?.name).toBe("HTTP");
    expect(attributes(span)).toMatchObject({
      "http.request.method": "_OTHER",
      "http.request.method_original": "BREW",
      "url.path": "/",
      "server.address": "fd00::1",
      "server.port": "80",
      "network.protocol.version": "1.0",
    });
    expect(attributes(span)).not.toHaveProperty("http.route");
    expect(spanOf({ ...lost, method: "POST" })?.name).toBe("POST");
  });
});
