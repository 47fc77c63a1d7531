import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noKernel, openLab, repository } from "../support/lab.ts";
import { startLoad } from "../support/load.ts";
import { addressesOf, applyShop, waysIn } from "../support/shop.ts";

/** How often Fairlead is killed: FAIRLEAD_KILLS=50 for a longer proof. */
const kills = Number(process.env["FAIRLEAD_KILLS"] ?? 20);

/** Process ids of the example's containers by pod, from the environment that every container process has. */
async function containerProcesses({ kubectl }: TestCluster): Promise<Map<string, number>> {
  const names = printed(await kubectl(["get", "pods", "-n", "shop", "-o", "jsonpath={.items[*].metadata.name}"]));
  const pods = new Set(names.split(" "));
  const found = new Map<string, number>();
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
    const value = (name: string) => new RegExp(`(?:^|\\0)${name}=([^\\0]*)`).exec(environment)?.[1];
    const pod = value("POD_NAME") ?? value("HOSTNAME");
    if (pod && pods.has(pod)) found.set(pod, Number(pid));
  }
  return found;
}

describe.skipIf(noKernel)(
  `kill -9 of Fairlead under load, ${kills} times${noKernel ? ` (skipped: ${noKernel})` : ""}`,
  () => {
    let lab: Lab;
    let cluster: TestCluster;

    beforeAll(async () => {
      lab = await openLab("root");
      cluster = await upCluster(lab);
      await applyShop(cluster);
    });

    afterAll(() => tearDown(lab, cluster));

    it(
      "loses no acknowledged write, no address, no pod and no request",
      async () => {
        const addresses = await addressesOf(cluster);
        const processes = await containerProcesses(cluster);
        expect(processes.size).toBe(8);
        const { ClusterIP } = await waysIn(cluster);
        const traffic = startLoad(lab, { ...ClusterIP!, rate: 50 });
        const writer = lab.start(process.execPath, [join(repository, "test/support/writer.mjs"), cluster.kubeconfig]);

        for (let i = 0; i < kills; i++) {
          const before = writer.output().length;
          await eventually("writes go on", async () => writer.output().length > before || undefined);
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 500));
          process.kill(await cluster.pid(), "SIGKILL");
          await cluster.up();
        }

        await writer.stop();
        const { sent, ok, failures } = await traffic.end();
        expect(failures).toEqual([]);
        expect(ok).toBe(sent);

        const there = new Set(printed(await cluster.kubectl(["get", "configmaps", "-o", "name"])).split("\n"));
        const acknowledged = writer.output().trim().split("\n");
        expect(acknowledged.length).toBeGreaterThan(kills);
        expect(acknowledged.filter((name) => !there.has(`configmap/${name}`))).toEqual([]);

        expect(await addressesOf(cluster)).toEqual(addresses);
        expect(await containerProcesses(cluster)).toEqual(processes);
        printed(await cluster.fairlead(["store", "check", "--dir", cluster.dir]));
        const restarts = printed(
          await cluster.kubectl([
            "get",
            "pods",
            "-n",
            "shop",
            "-o",
            "jsonpath={.items[*].status.containerStatuses[*].restartCount}",
          ]),
        );
        expect(new Set(restarts.trim().split(" "))).toEqual(new Set(["0"]));
      },
      60_000 + kills * 30_000,
    );
  },
);
