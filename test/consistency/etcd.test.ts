import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { noEtcd, startEtcd, type Etcd } from "../support/etcd.ts";
import { check } from "./checker.ts";
import { configMapApi } from "./http-api.ts";
import { allocateWhile, checkAllocations } from "./allocations.ts";
import { startApiServers, type ApiProcess } from "./servers.ts";
import { randomNumbers, runWorkload } from "./workload.ts";

/** How long the faults go on in each test; CONSISTENCY_SECONDS for longer ones. */
const seconds = Number(process.env.CONSISTENCY_SECONDS ?? 12);

describe.skipIf(noEtcd)(`three API servers on three members of etcd${noEtcd ? ` (${noEtcd})` : ""}`, () => {
  test("servers and members killed and paused under load: linearizable, nothing lost, no gap in a watch", async () => {
    await withServers(async (etcd, servers) => {
      const history = await runWorkload({
        apis: Array.from({ length: 9 }, (_, i) => configMapApi((servers[i % 3] as ApiProcess).client)),
        watchers: 3,
        keys: 12,
        seed: 5,
        until: disturb(etcd, servers),
        pause: 6,
      });
      expect(check(history)).toEqual([]);
      const told = history.operations.filter(({ outcome }) => outcome.type !== "unknown");
      expect(told.length).toBeGreaterThan(seconds * 20);
    });
  });

  test("no address and no node port is given twice, and none is lost, while servers and members are killed", async () => {
    await withServers(async (etcd, servers) => {
      const apis = Array.from({ length: 9 }, (_, i) => (servers[i % 3] as ApiProcess).client);
      const made = await allocateWhile(apis, disturb(etcd, servers));
      for (const { client: api } of servers) expect(await checkAllocations(api, made)).toEqual([]);
      expect(made.size).toBeGreaterThan(20);
    });
  });

  test("the Service kubernetes names all live servers, and no longer those that died", async () => {
    await withServers(async (_, servers) => {
      const [first, second, third] = servers as [ApiProcess, ApiProcess, ApiProcess];
      const ports = async (): Promise<number[]> => {
        const { body } = await first.client.call("GET", "/api/v1/namespaces/default/endpoints/kubernetes");
        return (body as { subsets: { ports: { port: number }[] }[] }).subsets
          .flatMap((subset) => subset.ports.map(({ port }) => port))
          .sort((a, b) => a - b);
      };
      const untilPortsAre = async (wanted: readonly number[]): Promise<void> => {
        const shall = [...wanted].sort((a, b) => a - b);
        await expect.poll(ports, { timeout: 60_000, interval: 250 }).toEqual(shall);
      };
      await untilPortsAre([first.port, second.port, third.port]);
      await third.kill();
      await untilPortsAre([first.port, second.port]);
      await third.start();
      await untilPortsAre([first.port, second.port, third.port]);
    });
  });
});

async function withServers(use: (etcd: Etcd, servers: readonly ApiProcess[]) => Promise<void>): Promise<void> {
  const etcd = await startEtcd({ members: 3 });
  try {
    const { servers, stop } = await startApiServers(3, { etcd: etcd.endpoints });
    try {
      await use(etcd, servers);
    } finally {
      await stop();
    }
  } finally {
    await etcd.stop();
  }
}

/** Kills and pauses one process at a time, and brings it back, for a while. All are there at the end. */
async function disturb(etcd: Etcd, servers: readonly ApiProcess[]): Promise<void> {
  const random = randomNumbers(3);
  const until = performance.now() + seconds * 1000;
  for (let round = 0; performance.now() < until; round++) {
    await sleep(800);
    const member = etcd.members[Math.floor(random() * 3)];
    const server = servers[Math.floor(random() * 3)];
    if (!member || !server) continue;
    if (round % 3 === 0) {
      await member.end();
      await sleep(700);
      await member.start();
    } else if (round % 3 === 1) {
      await server.kill();
      await sleep(300);
      await server.start();
    } else {
      member.kill("SIGSTOP");
      await sleep(1500);
      member.kill("SIGCONT");
    }
  }
  await sleep(1000);
}
