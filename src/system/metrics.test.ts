import { expect, it } from "vitest";
import { createMetrics } from "./metrics.ts";

/** The lines about `name`, without those of the process. */
const linesOf = (text: string, name: string): string[] => text.split("\n").filter((line) => line.includes(name));

it("writes counters and gauges with their labels", async () => {
  const metrics = createMetrics();
  const asked = metrics.counter("asked_total", "Asked.", ["verb", "code"]);
  asked("GET", "200").inc();
  asked("GET", "200").inc(2);
  asked("PUT", "409").inc();
  const depth = metrics.gauge("depth", "How deep.")();
  depth.inc();
  depth.inc();
  depth.dec();
  const text = await metrics.text();
  expect(linesOf(text, "asked_total")).toEqual([
    "# HELP asked_total Asked.",
    "# TYPE asked_total counter",
    'asked_total{verb="GET",code="200"} 3',
    'asked_total{verb="PUT",code="409"} 1',
  ]);
  expect(linesOf(text, "depth")).toContain("depth 1");
});

it("puts each observation into one bucket, and writes them added up", async () => {
  const metrics = createMetrics();
  const took = metrics.histogram("took_seconds", "Time.", ["what"], [0.5, 1])("it");
  for (const seconds of [0.25, 0.5, 0.75, 4]) took.observe(seconds);
  expect(linesOf(await metrics.text(), "took_seconds").slice(2)).toEqual([
    'took_seconds_bucket{what="it",le="0.5"} 2',
    'took_seconds_bucket{what="it",le="1"} 3',
    'took_seconds_bucket{what="it",le="+Inf"} 4',
    'took_seconds_sum{what="it"} 5.5',
    'took_seconds_count{what="it"} 4',
  ]);
});

it("reads a value when it is asked for; one that cannot be read takes no other away", async () => {
  const metrics = createMetrics();
  let now = 1;
  const sizes = metrics.gauge("size", "Size.", ["of"]);
  sizes("here").from(() => now);
  sizes("later").from(async () => now + 1);
  sizes("unknown").from(() => undefined);
  sizes("broken").from(() => Promise.reject(new Error("closed")));
  now = 5;
  expect(linesOf(await metrics.text(), "size{")).toEqual(['size{of="here"} 5', 'size{of="later"} 6']);
});

it("gives the same values to a part that was started again, and refuses another meaning", async () => {
  const metrics = createMetrics();
  metrics.counter("again_total", "Again.")().inc();
  metrics.counter("again_total", "Again.")().inc();
  expect(linesOf(await metrics.text(), "again_total")).toContain("again_total 2");
  expect(() => metrics.gauge("again_total", "Again.")).toThrow(TypeError);
  expect(() => metrics.counter("again_total", "Again.", ["label"])).toThrow(TypeError);
  expect(() => metrics.counter("labelled", "Labels.", ["a", "b"])("one")).toThrow(TypeError);
});

it("lets no value break out of its quotes", async () => {
  const metrics = createMetrics();
  metrics.gauge("odd", 'back\\slash\nand "quotes"', ["value"])('a"b\\c\nd').set(1);
  expect(linesOf(await metrics.text(), "odd")).toEqual([
    '# HELP odd back\\\\slash\\nand "quotes"',
    "# TYPE odd gauge",
    'odd{value="a\\"b\\\\c\\nd"} 1',
  ]);
});

it("tells of the process", async () => {
  const text = await createMetrics().text();
  expect(text).toMatch(/^process_resident_memory_bytes \d+$/m);
  expect(text).toMatch(/^nodejs_heap_size_used_bytes \d+$/m);
});
