import { expect, test } from "vitest";
import type { Pod } from "../../kube/index.ts";
import { FakeClock } from "../../system/index.ts";
import { parseInterfaces } from "./interfaces.ts";
import { createStats } from "./stats.ts";

const resources = { requests: { cpu: "250m" }, limits: { cpu: "500m" } };
const pod = {
  metadata: { name: "web", namespace: "shop", uid: "u" },
  spec: { containers: [{ name: "app", resources }] },
} as unknown as Pod;

const traffic = { bytes: 10, packets: 2, errors: 0, dropped: 1 };
const interfaces = [{ name: "eth0", received: { ...traffic, bytes: 20 }, sent: traffic }];

function statsOf(clock: FakeClock) {
  const began = clock.now();
  const used = (share: number): number => (clock.now() - began) * 1e6 * share;
  const record = {
    id: "c",
    podUid: "u",
    name: "app",
    state: "running",
    image: 'a"b',
    createdAt: began,
    startedAt: began,
  };
  return createStats({
    nodeName: "node-1",
    clock,
    pods: () => [pod],
    runtime: {
      stats: async () => [
        { id: "c", cpu: used(0.25), memory: 5 << 20, anonymous: 4 << 20, processes: 2, threads: 3, interfaces },
      ],
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

test("the same figures under the names of cAdvisor, whole pods and the machine among them", async () => {
  const clock = new FakeClock();
  const stats = statsOf(clock);
  const asked = stats.containerMetrics();
  await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(1000);
  const lines = (await asked).split("\n");
  const app = 'container="app",id="/kubepods/burstable/podu/c",image="a\\"b",name="c",namespace="shop",pod="web"';
  const whole = 'container="",id="/kubepods/burstable/podu",image="",name="",namespace="shop",pod="web"';
  const root = 'container="",id="/",image="",name="",namespace="",pod=""';
  expect(lines).toEqual(
    expect.arrayContaining([
      `container_cpu_usage_seconds_total{${app},cpu="total"} 0.25`,
      `container_cpu_usage_seconds_total{${whole},cpu="total"} 0.25`,
      `container_cpu_usage_seconds_total{${root},cpu="total"} 1.5`,
      `container_memory_working_set_bytes{${app}} ${5 << 20}`,
      `container_memory_rss{${app}} ${4 << 20}`,
      `container_processes{${app}} 2`,
      `container_threads{${app}} 3`,
      `container_spec_cpu_quota{${app}} 50000`,
      `container_spec_cpu_shares{${app}} 256`,
      `container_spec_memory_limit_bytes{${app}} 0`,
      `container_network_receive_bytes_total{${whole},interface="eth0"} 20`,
      `container_network_transmit_bytes_total{${whole},interface="eth0"} 10`,
      `container_network_transmit_packets_dropped_total{${whole},interface="eth0"} 1`,
    ]),
  );
  expect(lines.filter((line) => line.startsWith("container_network_receive_bytes_total"))).toHaveLength(1);
});

test("the kernel's table of interfaces is read without loopback", () => {
  const table = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0:   12345      12    1    2    0     0          0         0     6789       9    3    4    0     0       0          0
`;
  expect(parseInterfaces(table)).toEqual([
    {
      name: "eth0",
      received: { bytes: 12345, packets: 12, errors: 1, dropped: 2 },
      sent: { bytes: 6789, packets: 9, errors: 3, dropped: 4 },
    },
  ]);
});
