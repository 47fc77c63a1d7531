import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EndpointSlice, Service } from "../../src/kube/index.ts";
import { chooseBackend } from "../../src/proxy/choose.ts";
import { removeProxy } from "../../src/proxy/index.ts";
import { createServiceModel, type ProxyContext } from "../../src/services/index.ts";
import { runOrThrow, silentLogger, systemClock, systemCommands } from "../../src/system/index.ts";
import { createLab, podAddress, whyNoLab, type Lab } from "./lab.ts";
import { service, slice } from "./objects.ts";

const context: ProxyContext = {
  families: ["IPv4"],
  node: { name: "node1", addresses: ["192.168.77.1"] },
  podCidrs: ["10.42.0.0/16"],
  serviceCidrs: ["10.96.0.0/16"],
};

/** Each has a frontend, a pool and three endpoints: more than 10,000 rows, from where on a fresh table is built in steps. */
const services = 2_400;
const addressOf = (i: number): string => `10.96.${16 + (i >> 7)}.${1 + (i & 127)}`;
const last = addressOf(services - 1);

async function rowsIn(name: string): Promise<number> {
  const listed = await runOrThrow(systemCommands, "nft", ["-j", "list", "map", "ip", "fairlead", name]);
  const { nftables } = JSON.parse(listed) as { nftables: { map?: { elem?: unknown[] } }[] };
  return nftables.find(({ map }) => map !== undefined)?.map?.elem?.length ?? 0;
}

describe.skipIf(whyNoLab)("more rows than one transaction takes", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await createLab();
    for (const i of [0, 1, 2]) await lab.pods.serve({ address: podAddress(i), port: 8080 });
  });
  afterAll(async () => {
    if (!lab) return;
    await removeProxy(systemCommands);
    await lab.close();
  });

  test("come into force beside a mode that serves, and nobody is refused meanwhile", async () => {
    const stop = new AbortController();
    const begin = async (mode: "iptables" | "nftables") => {
      const parts = { mode, signal: stop.signal, clock: systemClock, commands: systemCommands };
      const { backend } = await chooseBackend(parts, context, silentLogger);
      return backend;
    };
    const model = createServiceModel(context);
    for (let i = 0; i < services; i++) {
      model.upsertService(service(`s${i}`, { clusterIP: addressOf(i) }) as Service);
      model.upsertSlice(slice(`s${i}`, [0, 1, 2].map(podAddress)) as EndpointSlice);
    }
    const lastKey = `default/s${services - 1}`;
    const before = await begin("iptables");
    before.update(lastKey, model.plan(lastKey));
    before.start();
    await before.settled();

    const after = await begin("nftables");
    for (const key of model.keys()) after.update(key, model.plan(key));
    let building = true;
    const asking = (async () => {
      const answers: Record<string, number> = {};
      while (building) {
        const round = await lab.client.ask({ address: last, port: 80, count: 20, atOnce: 4, timeout: 10_000 });
        for (const [answer, count] of Object.entries(round)) answers[answer] = (answers[answer] ?? 0) + count;
      }
      return answers;
    })();
    after.start();
    await after.settled();
    building = false;
    const answers = await asking;
    expect(Object.keys(answers).filter((answer) => !/^10\.42\.2\.\d+ /.test(answer))).toEqual([]);
    expect(after.failure).toBeUndefined();

    // Every Service has its row, with the first and the last a connection is made, and what no Service has is refused.
    await removeProxy(systemCommands, { but: "nftables" });
    const rows = await Promise.all(["frontends", "pools", "slots"].map(rowsIn));
    expect(rows).toEqual([services, expect.any(Number), services * 3]);
    // Else it would have been one transaction, and nothing was tried here.
    expect(rows.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(10_000);
    for (const address of [addressOf(0), last]) {
      const found = await lab.client.ask({ address, port: 80, count: 20, timeout: 10_000 });
      expect(Object.keys(found).filter((answer) => !/^10\.42\.2\.\d+ /.test(answer))).toEqual([]);
    }
    const nobody = await lab.client.ask({ address: "10.96.200.1", port: 80, timeout: 10_000 });
    expect(Object.keys(nobody)).toEqual(["refused"]);
    stop.abort();
    await Promise.all([before.stopped, after.stopped]);
  });
});
