import { expect, test } from "vitest";
import type { Pod } from "../../kube/index.ts";
import { FakeClock } from "../../system/index.ts";
import { createStats } from "./stats.ts";

const pod = { metadata: { name: "web", namespace: "shop", uid: "u" }, spec: { containers: [] } } as unknown as Pod;

function statsOf(clock: FakeClock) {
  const began = clock.now();
  const used = (share: number): number => (clock.now() - began) * 1e6 * share;
  const record = { id: "c", podUid: "u", name: "app", state: "running", createdAt: began, startedAt: began };
  return createStats({
    nodeName: "node-1",
    clock,
    pods: () => [pod],
    runtime: {
      stats: async () => [{ id: "c", cpu: used(0.25), memory: 5 << 20 }],
      list: async () => ({ sandboxes: [], containers: [record as never] }),
    },
    machine: () => ({ cpu: used(1.5), memory: 1 << 30, available: 3 << 30 }),
  });
}

test("rates are taken between two looks: the first to ask waits for the second", async () => {
  const clock = new FakeClock();
  const stats = statsOf(clock);
  const asked = stats.summary();
  await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(1000);
  expect(await asked).toMatchObject({
    node: {
      nodeName: "node-1",
      cpu: { usageNanoCores: 1.5e9 },
      memory: { workingSetBytes: 1 << 30, availableBytes: 3 << 30 },
    },
    pods: [
      {
        podRef: { name: "web", namespace: "shop", uid: "u" },
        cpu: { usageNanoCores: 2.5e8 },
        containers: [{ name: "app", cpu: { usageNanoCores: 2.5e8 }, memory: { workingSetBytes: 5 << 20 } }],
      },
    ],
  });
  // Asked again at once there is nothing new to look at.
  expect(await stats.summary()).toEqual(await asked);
});

test("the same figures for Prometheus", async () => {
  const clock = new FakeClock();
  const stats = statsOf(clock);
  const asked = stats.resourceMetrics();
  await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(1000);
  const text = await asked;
  expect(text).toMatch(/^container_cpu_usage_seconds_total\{container="app",namespace="shop",pod="web"\} 0\.25 \d+$/m);
  expect(text).toMatch(/^pod_memory_working_set_bytes\{namespace="shop",pod="web"\} 5242880 \d+$/m);
  expect(text).toMatch(/^node_cpu_usage_seconds_total 1\.5 \d+$/m);
});
