import { expect, test } from "vitest";
import { createMetrics } from "../system/index.ts";
import { createRouteFigures } from "./route-figures.ts";
import { samplePool as pool, sampleRoute } from "./sample.ts";

const routeOf = (name: string) => sampleRoute({ id: name, name, path: { type: "Prefix", value: "" } });

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
