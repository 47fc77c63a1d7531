import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EndpointSlice, Service } from "../../src/kube/index.ts";
import type { Backend } from "../../src/proxy/backend.ts";
import { chooseBackend } from "../../src/proxy/choose.ts";
import { removeProxy } from "../../src/proxy/index.ts";
import { createServiceModel, type ProxyContext, type ServiceModel } from "../../src/services/index.ts";
import { silentLogger, systemClock, systemCommands } from "../../src/system/index.ts";
import { badCases } from "./bad-objects.ts";
import { createField, ownAddresses, type Field } from "./field.ts";
import { whyNoLab } from "./lab.ts";
import { neighbourRows } from "./neighbour-rows.ts";
import { service, slice } from "./objects.ts";

// What another API server, a file or a hostile client may hand to the proxy: it serves what can be served of it, and everything else goes on.
const context: ProxyContext = {
  families: ["IPv4", "IPv6"],
  node: { name: "node1", addresses: ["192.168.77.1", "10.42.2.1", "fd77::1"] },
  podCidrs: ["10.42.0.0/16", "fd42::/16"],
  serviceCidrs: ["10.96.0.0/16", "fd96::/64"],
};
const why = whyNoLab ? ` (${whyNoLab})` : "";

/** Sound Services that no case may touch: one is older than all, one has a NodePort that others want. */
const neighbours = [
  service("sound", { clusterIP: "10.96.4.1" }),
  slice("sound", ["10.42.2.3"]),
  service("sound-too", {
    clusterIP: "10.96.4.2",
    type: "NodePort",
    ports: [{ port: 80, protocol: "TCP", nodePort: 30_900 }],
  }),
  slice("sound-too", ["10.42.2.4"]),
].map((object) => ({ ...object, metadata: { ...object.metadata, creationTimestamp: "2020-01-01T00:00:00Z" } }));

function put(model: ServiceModel, backend: Pick<Backend, "update"> | undefined, objects: readonly object[]): void {
  for (const object of objects as (Service | EndpointSlice)[]) {
    const keys =
      object.kind === "Service" ? model.upsertService(object as Service) : model.upsertSlice(object as EndpointSlice);
    for (const key of keys) backend?.update(key, model.plan(key));
  }
}

describe(`the decision model and ${badCases.length} malformed objects`, () => {
  test.each(badCases.map((one, i) => [one.name, one, i + 1] as const))("%s", (_, { objects, gives }, n) => {
    const model = createServiceModel(context);
    put(model, undefined, neighbours);
    const sound = ["default/sound", "default/sound-too"].map((key) => model.plan(key));
    put(model, undefined, objects(n));
    const after = ["default/sound", "default/sound-too"].map((key) => model.plan(key));
    expect(after.map((plan) => plan?.ports)).toEqual(sound.map((plan) => plan?.ports));
    const { decision } = model.route({ source: "10.42.4.2", destination: `10.96.5.${n}`, protocol: "TCP", port: 80 });
    expect(decision?.verdict).toBe(gives === "answers" ? "forward" : "reject");
    if (decision?.verdict === "forward")
      expect(decision.endpoints.map(({ address }) => address)).toEqual(["10.42.2.2"]);
  });

  test("there are sixty and more", () => {
    expect(badCases.length).toBeGreaterThanOrEqual(60);
    expect(new Set(badCases.map(({ name }) => name)).size).toBe(badCases.length);
  });
});

describe.skipIf(whyNoLab).each(["nftables", "iptables", "userspace"] as const)(
  `${badCases.length} malformed objects in %s${why}`,
  (mode) => {
    let field: Field;

    beforeAll(async () => {
      field = await createField();
      if (mode === "userspace") await ownAddresses(true);
    });
    afterAll(async () => {
      if (!field) return;
      await removeProxy(systemCommands);
      await field.close();
    });

    test("all at once and one after the other: each gives what it should, and no other Service notices", async () => {
      const stop = new AbortController();
      const model = createServiceModel(context);
      const { backend } = await chooseBackend(
        { mode, signal: stop.signal, clock: systemClock, commands: systemCommands },
        context,
        silentLogger,
      );
      put(model, backend, neighbours);
      // A part of them is there from the start, in the transaction that builds everything; the others come as differences.
      const half = Math.floor(badCases.length / 2);
      for (const [i, { objects }] of badCases.entries()) if (i < half) put(model, backend, objects(i + 1));
      backend.start();
      await backend.settled();
      const failures: string[] = [];
      const ask = async (address: string, port: number, expected: string, name: string) => {
        const answers = await field.client.ask({ address, port, count: 2, timeout: 5_000 });
        const who = Object.keys(answers).map((one) => one.split(" ")[0]);
        if (who.join() !== expected) failures.push(`${name}: ${expected}, not ${JSON.stringify(answers)}`);
      };
      const askSound = async (when: string) => {
        await ask("10.96.4.1", 80, "10.42.2.3", `sound ${when}`);
        await ask("10.96.4.2", 80, "10.42.2.4", `sound-too ${when}`);
        await ask("192.168.77.1", 30_900, "10.42.2.4", `NodePort ${when}`);
      };
      await askSound("at first");
      const rows = await neighbourRows(mode);
      expect(rows.length).toBeGreaterThanOrEqual(3);
      for (const [i, { objects, name }] of badCases.entries()) {
        if (i < half) continue;
        put(model, backend, objects(i + 1));
        await backend.settled();
        expect(backend.failure, name).toBeUndefined();
      }
      await askSound("after all");
      // Not the meaning alone: nothing of them was taken out or written again.
      expect(await neighbourRows(mode)).toEqual(rows);
      await Promise.all(
        badCases.map(({ name, gives }, i) =>
          ask(`10.96.5.${i + 1}`, 80, gives === "answers" ? "10.42.2.2" : "refused", name),
        ),
      );
      expect(failures).toEqual([]);
      stop.abort();
      await backend.stopped;
    });
  },
);
