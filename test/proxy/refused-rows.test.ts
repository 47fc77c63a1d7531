import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EndpointSlice, Service } from "../../src/kube/index.ts";
import { chooseBackend } from "../../src/proxy/choose.ts";
import { removeProxy } from "../../src/proxy/index.ts";
import { createServiceModel, type ProxyContext } from "../../src/services/index.ts";
import { silentLogger, systemClock, systemCommands } from "../../src/system/index.ts";
import { createLab, podAddress, whyNoLab, type Lab } from "./lab.ts";
import { service, slice } from "./objects.ts";

const context: ProxyContext = {
  families: ["IPv4"],
  node: { name: "node1", addresses: ["192.168.77.1"] },
  podCidrs: ["10.42.0.0/16"],
  serviceCidrs: ["10.96.0.0/16"],
};

describe.skipIf(whyNoLab).each(["nftables", "iptables"] as const)("rows that the kernel refuses: %s", (mode) => {
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

  test("keep out one Service, not those that come with it", async () => {
    const stop = new AbortController();
    const parts = { mode, signal: stop.signal, clock: systemClock, commands: systemCommands };
    const { backend } = await chooseBackend(parts, context, silentLogger);
    const put = (name: string, clusterIP: string, pod: number): void => {
      // A model for each does not know of the others, so an address is given away twice: as if a row had been made wrong.
      const model = createServiceModel(context);
      model.upsertService(service(name, { clusterIP }) as Service);
      model.upsertSlice(slice(name, [podAddress(pod)]) as EndpointSlice);
      backend.update(`default/${name}`, model.plan(`default/${name}`));
    };
    backend.start();
    put("first", "10.96.6.1", 0);
    await backend.settled();
    put("second", "10.96.6.1", 1);
    put("third", "10.96.6.3", 2);
    await backend.settled();
    expect(backend.failure).toBeUndefined();
    for (const [address, pod] of [
      ["10.96.6.1", 0],
      ["10.96.6.3", 2],
    ] as const) {
      const answers = await lab.client.ask({ address, port: 80, timeout: 5_000 });
      expect(Object.keys(answers).map((answer) => answer.split(" ")[0])).toEqual([podAddress(pod)]);
    }
    stop.abort();
    await backend.stopped;
  });
});
