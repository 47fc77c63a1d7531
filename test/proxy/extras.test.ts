import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createFakeClient, type FakeClient } from "../../src/client/index.ts";
import { resources, type Draft, type Service } from "../../src/kube/index.ts";
import { askConnections, askProxy, removeProxy, startProxy, type Proxy } from "../../src/proxy/index.ts";
import { isAnswered, silentLogger, systemClock, systemCommands, type Logger } from "../../src/system/index.ts";
import { eventually } from "../support/cluster.ts";
import { addressesOf, createField, families, ownAddresses, podCount, type Field } from "./field.ts";
import { whyNoLab, type Agent, type Answers } from "./lab.ts";
import { createKit } from "./matrix.ts";

// What Fairlead does beyond the Service API, where an annotation asks for it: docs/services-matrix.md has the table.

const why = whyNoLab ? ` (${whyNoLab})` : "";
const annotation = (name: string, value: string) => ({ annotations: { [`fairlead.dev/${name}`]: value } });
const podOf = (answers: Answers): string[] => Object.keys(answers).map((answer) => answer.split(" ")[0] ?? "");

describe.skipIf(whyNoLab).each(["nftables", "iptables", "userspace"] as const)(
  `extras of Services: %s${why}`,
  (mode) => {
    let field: Field;
    let client: FakeClient;
    let proxy: Proxy;
    let stop: AbortController;
    let logged: Record<string, unknown>[] = [];
    let tests = 0;
    const dir = mkdtempSync(join(tmpdir(), "fairlead-extras-"));
    /** Each proxy has its own: that of the one before may not be closed yet. */
    let control = "";
    const log: Logger = {
      ...silentLogger,
      info: (fields, text) => {
        if (text.includes("is logged")) logged.push(fields);
      },
      child: () => log,
    };
    const inKernel = mode !== "userspace";

    beforeAll(async () => {
      field = await createField();
      if (!inKernel) await ownAddresses(true);
    });
    afterAll(async () => {
      rmSync(dir, { recursive: true, force: true });
      if (!field) return;
      if (!inKernel) await ownAddresses(false);
      await field.close();
    });
    beforeEach(async () => {
      tests++;
      control = join(dir, `proxy-${tests}.sock`);
      logged = [];
      client = createFakeClient();
      stop = new AbortController();
      const at = families.map((family) => addressesOf(family));
      proxy = await startProxy({
        client,
        nodeName: "node1",
        mode,
        nodeAddresses: at.flatMap(({ node1, node1Link, gateway }) => [node1, node1Link, gateway]),
        podCidrs: at.map(({ pods }) => pods),
        serviceCidrs: at.map(({ services }) => services),
        control,
        signal: stop.signal,
        clock: systemClock,
        log,
        commands: systemCommands,
      });
      await proxy.ready;
      await eventually("the control socket", async () => (await isAnswered(control)) || undefined);
    });
    afterEach(async () => {
      stop.abort();
      await proxy.stopped;
      await removeProxy(systemCommands);
    });

    async function settled(): Promise<void> {
      for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
      await proxy.settled();
      expect(proxy.failure()).toBeUndefined();
    }
    const put = (service: Draft<Service>, slice?: ReturnType<ReturnType<typeof createKit>["slice"]>) => {
      client.put(resources.Service, service);
      if (slice) client.put(resources.EndpointSlice, slice);
      return settled();
    };
    const lb = (kit: ReturnType<typeof createKit>, rest: object) =>
      kit.service({ type: "LoadBalancer" }, { lb: [{ ip: kit.lb() }], ...rest });

    test.skipIf(mode === "iptables").each(families)(
      "source-hash: every client has one endpoint, the one that the model names, and keeps it while others come and go (%s)",
      async (family) => {
        const kit = createKit(100 + tests, family);
        const { local, remote } = addressesOf(family);
        const senders: [Agent, string][] = Array.from({ length: podCount }, (_, i) => [
          [field.pods1, local(i)] as [Agent, string],
          [field.pods2, remote(i)] as [Agent, string],
        ]).flat();
        const pick = (source: string) => {
          const { decision } = proxy.model.route({ source, destination: kit.lb(), port: 80, protocol: "TCP" });
          return decision?.verdict === "forward" ? decision.picked?.address : undefined;
        };
        const reached = async (): Promise<Map<string, string>> => {
          const found = new Map<string, string>();
          for (const [agent, source] of senders) {
            const pods = podOf(await agent.ask({ address: kit.lb(), port: 80, source, count: 3 }));
            expect(pods, `${source}: ${pods.join()}`).toEqual([pick(source)]);
            found.set(source, pods[0] ?? "");
          }
          return found;
        };
        await put(lb(kit, annotation("balance", "source-hash")), kit.slice("l0 l1 r0 r1"));
        const before = await reached();
        expect(new Set(before.values()).size).toBe(4);
        await put(lb(kit, annotation("balance", "source-hash")), kit.slice("l0 r0 r1"));
        const after = await reached();
        const moved = [...before].filter(([source, pod]) => after.get(source) !== pod);
        expect(moved.map(([, pod]) => pod)).toEqual([...before.values()].filter((pod) => pod === local(1)));
        await put(lb(kit, annotation("balance", "source-hash")), kit.slice("l0 l1 r0 r1"));
        expect(await reached()).toEqual(before);
      },
    );

    test.each(families)(
      "log tells of connections, whatever becomes of them, and goes on after rules are built anew (%s)",
      async (family) => {
        const kit = createKit(100 + tests, family);
        const service = (order: string) => kit.service({}, annotation("override", order));
        await put(service("log"), kit.slice("l0 l1"));
        const { clientPod } = addressesOf(family);
        const ask = () => field.client.ask({ address: kit.vip(), port: 80, source: clientPod, timeout: 500 });
        const told = async (verdict: string) => {
          const one = await eventually("the log", async () => logged.find((line) => line["verdict"] === verdict));
          expect(one).toMatchObject({
            service: `default/${kit.name}`,
            protocol: "TCP",
            client: "pod",
            frontend: "ClusterIP",
          });
          expect(String(one["source"])).toContain(clientPod);
          expect(String(one["destination"])).toContain(kit.vip());
          logged = [];
        };
        // The kernel is asked for packets at once, which takes a turn.
        await eventually("the first to be told of", async () => (await ask(), logged.length > 0 ? true : undefined));
        await told("forward");
        if (!inKernel) return;
        if (family === "IPv4") {
          // Somebody else flushes the rules: they come back, and what they log.
          await systemCommands.run("nft", ["flush", "ruleset"]);
          await eventually("the rules", async () =>
            podOf(await ask()).some((pod) => pod.includes("42")) ? true : undefined,
          );
          logged = [];
          await ask();
          await told("forward");
        }
        await put(service("log,drop"));
        expect(await ask()).toEqual({ silent: 1 });
        await told("drop");
        await put(service("log"), kit.slice(""));
        expect(await ask()).toEqual({ refused: 1 });
        await told("reject");
        await put(service(""), kit.slice("l0"));
        await ask();
        await new Promise((resolve) => setTimeout(resolve, 600));
        expect(logged).toEqual([]);
      },
    );

    test.each(families)(
      "connections to endpoints that are gone live on, are counted down, and end where `reset` asks for it (%s)",
      async (family) => {
        const kit = createKit(100 + tests, family);
        const key = `default/${kit.name}`;
        const { local, clientPod } = addressesOf(family);
        const endpoint = family === "IPv4" ? `${local(0)}:8080` : `[${local(0)}]:8080`;
        await put(kit.service(), kit.slice("l0"));
        const hold = { address: kit.vip(), port: 80, source: clientPod, count: 3, hold: true };
        await field.client.ask(hold);
        const seen = await askConnections(control, key);
        expect(seen).toHaveLength(3);
        expect(new Set(seen.map((one) => one.endpoint))).toEqual(new Set([endpoint]));
        expect(seen[0]?.client).toContain(clientPod);
        expect((await askProxy(control)).draining).toEqual([]);

        await put(kit.service(), kit.slice("l1"));
        expect((await askProxy(control)).draining).toMatchObject([{ service: key, endpoint, connections: 3 }]);
        expect(await field.client.echo()).toEqual([true, true, true]);
        await eventually("the last to end", async () =>
          (await askProxy(control)).draining.length === 0 ? true : undefined,
        );

        const reset = kit.service({}, annotation("removed-endpoints", "reset"));
        await put(reset, kit.slice("l0"));
        await field.client.ask(hold);
        await put(reset, kit.slice("l0 l1"));
        expect(await askConnections(control, key)).toHaveLength(3);
        await put(reset, kit.slice("l1"));
        await eventually("their end", async () => {
          const left = await askConnections(control, key);
          return left.some((one) => one.endpoint === endpoint) ? undefined : true;
        });
        expect(await field.client.echo()).toEqual([false, false, false]);
        await put(kit.service(), kit.slice("l0 l1"));
        await field.client.ask({ ...hold, count: 8 });
        await put(kit.service(), kit.slice("l1"));
        expect(await field.client.echo()).toEqual(Array.from({ length: 8 }, () => true));
      },
    );
  },
);
