import { expect, test } from "vitest";
import { FakeClock, silentLogger } from "../system/index.ts";
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
