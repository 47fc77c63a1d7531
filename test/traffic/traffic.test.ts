import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Pod } from "../../src/kube/index.ts";
import { printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, type LabUser, noKernel, noUnprivileged, openLab } from "../support/lab.ts";
import { load, startLoad } from "../support/load.ts";
import { applyShop, waysIn } from "../support/shop.ts";

const skipped = (why: string | undefined) => (why ? ` (skipped: ${why})` : "");

const users: readonly { user: LabUser; proxy: string; why: string | undefined }[] = [
  { user: "root", proxy: "nftables", why: noKernel },
  { user: "unprivileged", proxy: "userspace", why: noUnprivileged },
];

for (const { user, proxy, why } of users) {
  describe.skipIf(why)(`traffic as ${user}, ${proxy}${skipped(why)}`, () => {
    let lab: Lab;
    let cluster: TestCluster;
    let ways: Record<string, { url: string; host?: string }>;

    beforeAll(async () => {
      lab = await openLab(user);
      cluster = await upCluster(lab);
      await applyShop(cluster);
      ways = await waysIn(cluster);
    });

    afterAll(() => tearDown(lab, cluster));

    const kubectl = async (...args: string[]) => printed(await cluster.kubectl([...args, "-n", "shop"]));
    /** One of the storefront's pods that is not going already. */
    const aPod = async () => {
      const { items } = JSON.parse(await kubectl("get", "pods", "-l", "app=storefront", "-o", "json")) as {
        items: Pod[];
      };
      return items.find(({ metadata }) => !metadata.deletionTimestamp)?.metadata.name ?? "";
    };
    const settled = () => kubectl("rollout", "status", "deployment/storefront", "--timeout=90s");

    for (const way of ["ClusterIP", "LoadBalancer", "Ingress"]) {
      it(`300 requests through ${way} are spread over all ready replicas`, async () => {
        const { ok, failures, byPod } = await load(lab, { ...ways[way]!, count: 300 });
        expect(failures).toEqual([]);
        expect(ok).toBe(300);
        const shares = Object.values(byPod);
        expect(shares).toHaveLength(3);
        // A fair three-sided die leaves 60 to 140 once in a million million throws of 300.
        for (const share of shares) {
          expect(share).toBeGreaterThan(60);
          expect(share).toBeLessThan(140);
        }
      });

      it(`200 requests a second through ${way} lose none while pods come and go`, async () => {
        const { end } = startLoad(lab, { ...ways[way]!, rate: 200 });
        await kubectl("scale", "deployment/storefront", "--replicas=5");
        await settled();
        await kubectl("scale", "deployment/storefront", "--replicas=2");
        await settled();
        await kubectl("rollout", "restart", "deployment/storefront");
        await settled();
        await kubectl("delete", "pod", await aPod());
        await kubectl("scale", "deployment/storefront", "--replicas=3");
        await settled();
        const { sent, ok, failures } = await end();
        expect(failures).toEqual([]);
        expect(ok).toBe(sent);
        expect(sent).toBeGreaterThan(200);
      });
    }

    it.skipIf(user !== "root")(
      `a pod reaches every replica of its own Service, itself too${user === "root" ? "" : " (skipped: pods share the machine's network)"}`,
      async () => {
        const address = await kubectl("get", "pod", await aPod(), "-o", "jsonpath={.status.podIP}");
        const { leases } = JSON.parse(await readFile(join(cluster.dir, "kubelet/node-1/addresses.json"), "utf8")) as {
          leases: Record<string, string>;
        };
        const id = Object.keys(leases).find((one) => leases[one] === address);
        const pod: Lab = {
          ...lab,
          run: (file, args, options) => lab.run("nsenter", [`--net=/run/netns/fl-${id}`, "--", file, ...args], options),
        };
        for (const way of ["ClusterIP", "LoadBalancer"]) {
          const { ok, failures, byPod } = await load(pod, { ...ways[way]!, count: 60 });
          expect(failures).toEqual([]);
          expect(ok).toBe(60);
          expect(Object.keys(byPod)).toHaveLength(3);
        }
      },
    );
  });
}
