import { expect, test } from "vitest";
import { createMetrics, FakeClock, silentLogger } from "../system/index.ts";
import { startController } from "./start-controller.ts";

test("works after what it waits for, one key at a time, again on failure and on wish", async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  const seen: string[] = [];
  const running = new Set<string>();
  let open: (value?: unknown) => void = () => {};
  const controller = startController({
    name: "t",
    clock,
    log: silentLogger,
    signal: stop.signal,
    concurrency: 2,
    after: [new Promise((resolve) => (open = resolve))],
    reconcile: async (key) => {
      expect(running.has(key)).toBe(false);
      running.add(key);
      seen.push(key);
      await clock.sleep(1);
      running.delete(key);
      if (key === "bad" && seen.filter((k) => k === "bad").length === 1) throw new Error("once");
      return key === "later" && seen.filter((k) => k === "later").length === 1 ? { again: 1000 } : undefined;
    },
  });
  controller.enqueue("a");
  controller.enqueue("a");
  controller.enqueue("bad");
  await clock.advance(10);
  expect(seen).toEqual([]);
  open();
  await controller.ready;
  await clock.advance(2);
  expect(seen).toEqual(["a", "bad"]);
  await clock.advance(10);
  expect(seen).toEqual(["a", "bad", "bad"]);
  controller.enqueue("later");
  await clock.advance(0);
  await clock.advance(5);
  await clock.advance(1000);
  expect(seen.filter((k) => k === "later")).toHaveLength(2);
  stop.abort();
  await controller.stopped;
});

test("its queue is told of under its name", async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  const metrics = createMetrics();
  let fails = true;
  const controller = startController({
    name: "told",
    metrics,
    clock,
    log: silentLogger,
    signal: stop.signal,
    reconcile: async () => {
      if (fails) throw new Error("once");
    },
  });
  controller.enqueue("a");
  await controller.ready;
  await clock.advance(1);
  fails = false;
  await clock.advance(100);
  const told = (await metrics.text())
    .split("\n")
    .filter((line) => line.startsWith("workqueue_") && !/_(bucket|sum)\{/.test(line));
  expect(told.sort()).toEqual([
    'workqueue_adds_total{name="told"} 2',
    'workqueue_depth{name="told"} 0',
    'workqueue_longest_running_processor_seconds{name="told"} 0',
    'workqueue_queue_duration_seconds_count{name="told"} 2',
    'workqueue_retries_total{name="told"} 1',
    'workqueue_unfinished_work_seconds{name="told"} 0',
    'workqueue_work_duration_seconds_count{name="told"} 2',
  ]);
  stop.abort();
});
