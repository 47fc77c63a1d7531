import { expect, test } from "vitest";
import { createMetrics } from "../../../system/index.ts";
import { createFigureSink, createRelayedMetrics, type Figures } from "./figures.ts";

test("what a process counts arrives here, and is under way no more when it has ended", async () => {
  const told: Figures[] = [];
  const there = createRelayedMetrics((figures) => told.push(figures), 60_000);
  const requests = there.counter("requests_total", "Requests.", ["code"]);
  requests("200").inc();
  requests("200").inc(2);
  requests("404").inc();
  const level = there.gauge("in_flight", "Under way.")();
  level.inc();
  level.inc();
  const seconds = there.histogram("seconds", "Time.", ["route"], [1, 5])("a");
  for (const value of [3, 5, 7]) seconds.observe(value);
  there.histogram("seconds", "Time.", ["route"], [1, 5])("b");
  there.flush();
  level.dec();
  there.flush();
  there.flush();
  expect(told).toHaveLength(2);

  const here = createMetrics();
  const sink = createFigureSink(here);
  for (const figures of told) sink.add(figures);
  let text = await here.text();
  for (const line of ['requests_total{code="200"} 3', 'requests_total{code="404"} 1', "in_flight 1"])
    expect(text).toContain(line);
  expect(text).toContain('seconds_bucket{route="a",le="1"} 0');
  expect(text).toContain('seconds_bucket{route="a",le="5"} 2');
  expect(text).toContain('seconds_bucket{route="a",le="+Inf"} 3');
  expect(text).toContain('seconds_sum{route="a"} 15');
  expect(text).not.toContain('route="b"');
  sink.end();
  text = await here.text();
  expect(text).toContain("in_flight 0");
  expect(text).toContain('requests_total{code="200"} 3');
});
