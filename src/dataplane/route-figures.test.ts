import { expect, test } from "vitest";
import type { Pool, Route } from "../routing/index.ts";
import { createMetrics } from "../system/index.ts";
import { createRouteFigures } from "./route-figures.ts";

const owner = (name: string) => ({ object: { kind: "Ingress", namespace: "shop", name }, field: "spec.rules[0]" });
const routeOf = (name: string): Route => ({
  id: name,
  host: "shop.test",
  path: { type: "Prefix", value: "" },
  headers: [],
  query: [],
  rule: { id: name, filters: [], backends: [], timeouts: {}, owner: owner(name) },
  owner: owner(name),
});
const pool: Pool = {
  key: "shop/web:80",
  service: { namespace: "shop", name: "web" },
  port: "80",
  protocol: "http",
  endpoints: [],
};

test("a request counts for its route, under ingress-nginx's name as well", async () => {
  const metrics = createMetrics();
  const record = createRouteFigures(metrics);
  const route = routeOf("web");
  for (const code of [200, 200, 503]) record({ route, pool, method: "GET", code, seconds: 0.02 });
  record({ route, method: "BREW", code: 403, seconds: 20 });
  const text = await metrics.text();
  const about = 'kind="Ingress",namespace="shop",name="web",rule="spec.rules[0]"';
  for (const line of [
    `fairlead_route_requests_total{${about},backend="shop/web:80",method="GET",code="200"} 2`,
    `fairlead_route_requests_total{${about},backend="shop/web:80",method="GET",code="503"} 1`,
    `fairlead_route_requests_total{${about},backend="",method="other",code="403"} 1`,
    `fairlead_route_request_duration_seconds_bucket{${about},backend="shop/web:80",le="0.01"} 0`,
    `fairlead_route_request_duration_seconds_bucket{${about},backend="shop/web:80",le="0.025"} 3`,
    `nginx_ingress_controller_requests{namespace="shop",ingress="web",host="shop.test",path="/",service="web",method="GET",status="200"} 2`,
  ])
    expect(text).toContain(`${line}\n`);
});

test("routes beyond the bound are counted as other", async () => {
  const metrics = createMetrics();
  const record = createRouteFigures(metrics, 2);
  for (let i = 0; i < 5; i++) record({ route: routeOf(`web-${i}`), pool, method: "GET", code: 200, seconds: 0 });
  const text = await metrics.text();
  expect(text.match(/^fairlead_route_requests_total\{/gm)).toHaveLength(3);
  expect(text).toMatch(/^fairlead_route_requests_total\{kind="other",.*\} 3$/m);
});
