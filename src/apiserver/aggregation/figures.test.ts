import { expect, test } from "vitest";
import { createMetrics } from "../../system/index.ts";
import { createAggregationFigures } from "./figures.ts";

const fails = { status: "False", reason: "MissingEndpoints", message: "" };
const passes = { status: "True", reason: "Passed", message: "" };

test("an APIService is unavailable until its server answers, and no longer told of when it is gone", async () => {
  const metrics = createMetrics();
  const figures = createAggregationFigures(metrics);
  figures.looked("v1.example.com", fails);
  figures.looked("v1.example.com", fails);
  expect(await metrics.text()).toContain('aggregator_unavailable_apiservice{name="v1.example.com"} 1\n');
  figures.looked("v1.example.com", passes);
  const text = await metrics.text();
  expect(text).toContain('aggregator_unavailable_apiservice{name="v1.example.com"} 0\n');
  expect(text).toContain(
    'aggregator_unavailable_apiservice_total{name="v1.example.com",reason="MissingEndpoints"} 2\n',
  );
  figures.gone("v1.example.com");
  expect(await metrics.text()).not.toContain("aggregator_unavailable_apiservice{");
});

test("names beyond a bound become no labels", async () => {
  const metrics = createMetrics();
  const figures = createAggregationFigures(metrics);
  for (let i = 0; i < 300; i++) figures.looked(`v1.g${i}`, fails);
  expect((await metrics.text()).match(/^aggregator_unavailable_apiservice\{/gm)).toHaveLength(200);
});
