import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ownRanges } from "../../src/cli/cluster/local-ranges.ts";
import { createFakeClient, type FakeClient } from "../../src/client/index.ts";
import { resources } from "../../src/kube/index.ts";
import { askProxy, removeProxy, startProxy, type Proxy, type ProxyMode } from "../../src/proxy/index.ts";
import { runOrThrow, systemCommands, type CommandRunner } from "../../src/system/index.ts";
import { createLab, labNode, outside, podAddress, whyNoLab, type Lab } from "./lab.ts";
import { service, slice } from "./objects.ts";

const why = whyNoLab ? ` (${whyNoLab})` : "";
const address = "10.96.0.20";
const port = 80;

describe.skipIf(whyNoLab)(`switching between modes${why}`, () => {
  let lab: Lab;
  let client: FakeClient;
  let proxy: Proxy;
  let stop: AbortController;
  const dir = mkdtempSync(join(tmpdir(), "fairlead-switch-"));
  const control = join(dir, "proxy.sock");
  /** What the machine's nft and iptables are made to refuse. */
  let broken: (file: string, input: string) => boolean = () => false;
  const commands: CommandRunner = {
    async run(file, args, options) {
      if (broken(file, String(options?.input ?? ""))) return { code: 1, stdout: "", stderr: "refused by the test" };
      return systemCommands.run(file, args, options);
    },
  };

  async function begin(mode: ProxyMode): Promise<void> {
    stop = new AbortController();
    proxy = await startProxy({
      ...labNode,
      client,
      mode,
      signal: stop.signal,
      commands,
      control,
      replaceOthers: true,
      ownAddresses: (own) => ownRanges(systemCommands, own ? ["10.96.0.0/16"] : []),
    });
    await proxy.ready;
  }
  async function end(): Promise<void> {
    stop.abort();
    await proxy.stopped;
  }

  /** Makes new connections all the time while `action` runs; answers how often each answer came. */
  async function during(action: () => Promise<void>): Promise<Record<string, number>> {
    let running = true;
    const asking = (async () => {
      const answers: Record<string, number> = {};
      while (running) {
        const round = await lab.client.ask({ address, port, source: outside, count: 40, atOnce: 4 });
        for (const [answer, count] of Object.entries(round)) answers[answer] = (answers[answer] ?? 0) + count;
      }
      return answers;
    })();
    await action();
    running = false;
    return asking;
  }
  const served = (answers: Record<string, number>) =>
    Object.keys(answers).filter((answer) => !/^10\.42\.2\.\d+ /.test(answer));

  beforeAll(async () => {
    lab = await createLab();
    for (let i = 0; i < 3; i++) await lab.pods.serve({ address: podAddress(i), port: 8080 });
  });
  afterAll(async () => {
    rmSync(dir, { recursive: true });
    await lab?.close();
  });
  beforeEach(() => {
    client = createFakeClient();
    client.put(resources.Service, service("web", { clusterIP: address }));
    client.put(resources.EndpointSlice, slice("web", [0, 1, 2].map(podAddress)));
  });
  afterEach(async () => {
    broken = () => false;
    await end();
    await removeProxy(systemCommands);
    await ownRanges(systemCommands, []);
  });

  const modes: readonly ProxyMode[] = ["nftables", "iptables", "userspace"];
  const pairs = modes.flatMap((from) => modes.filter((to) => to !== from).map((to) => [from, to] as const));

  test.each(pairs)("%s to %s: no new connection is lost, and those that exist live on", async (from, to) => {
    await begin(from);
    const held = await lab.client.ask({ address, port, source: outside, count: 20, hold: true });
    expect(served(held)).toEqual([]);
    const answers = await during(async () => {
      expect(await askProxy(control, { switchTo: to })).toMatchObject({ mode: to, services: 1 });
    });
    expect(served(answers), JSON.stringify(answers)).toEqual([]);
    expect(proxy.mode).toBe(to);
    expect(await lab.client.echo()).toEqual(Array.from({ length: 20 }, () => true));

    // Changes go to the new mode, and nothing of the old one is left.
    client.put(resources.EndpointSlice, slice("web", [podAddress(2)]));
    await expect
      .poll(async () => Object.keys(await lab.client.ask({ address, port, source: outside, count: 20 })))
      .toEqual([expect.stringMatching(`^${podAddress(2)} `)]);
    const tables = await systemCommands.run("nft", ["list", "tables"]);
    const chains = await systemCommands.run("iptables-save", []);
    expect(/^table ip fairlead$/m.test(tables.stdout)).toBe(to === "nftables");
    expect(chains.stdout.includes("KUBE-SERVICES")).toBe(to === "iptables");
  });

  test("a mode that does not come into force is taken back, and nobody notices", async () => {
    await begin("nftables");
    broken = (file) => file === "iptables-restore";
    await lab.client.ask({ address, port, source: outside, count: 5, hold: true });
    const answers = await during(async () => {
      await expect(askProxy(control, { switchTo: "iptables" })).rejects.toThrow("refused by the test");
    });
    expect(served(answers)).toEqual([]);
    expect(proxy.mode).toBe("nftables");
    expect(await lab.client.echo()).toEqual([true, true, true, true, true]);
  });

  test("a mode whose self-test gets no answer is taken back", async () => {
    await begin("iptables");
    // Somebody's firewall drops what the new mode would let in.
    const firewall =
      "table ip foreign {\n chain out {\n type filter hook output priority -300\n ip daddr 127.255.10.1 drop\n }\n}\n";
    await runOrThrow(systemCommands, "nft", ["-f", "-"], { input: firewall });
    const answers = await during(async () => {
      await expect(askProxy(control, { switchTo: "nftables" })).rejects.toThrow(
        /not switched to nftables: a connection to the canary at 127\.255\.10\.1:\d+ was not answered/,
      );
    });
    await systemCommands.run("nft", ["delete", "table", "ip", "foreign"]);
    expect(served(answers)).toEqual([]);
    expect(proxy.mode).toBe("iptables");
    const tables = await systemCommands.run("nft", ["list", "tables"]);
    expect(tables.stdout).not.toMatch(/^table ip fairlead$/m);
    // What was in the way is gone: the next attempt succeeds.
    expect(await askProxy(control, { switchTo: "nftables" })).toMatchObject({ mode: "nftables" });
  });

  test("a port that another program has keeps user space from serving it: the mode before serves on", async () => {
    await begin("nftables");
    // As a data plane does that listens at every address of the machine.
    const other = createServer().listen({ port, host: "0.0.0.0" });
    await once(other, "listening");
    try {
      const answers = await during(async () => {
        await expect(askProxy(control, { switchTo: "userspace" })).rejects.toThrow(
          `TCP port ${port} of ${address} (Service default/web) cannot be served: another program uses this address and port`,
        );
      });
      expect(served(answers), JSON.stringify(answers)).toEqual([]);
      expect(proxy.mode).toBe("nftables");
    } finally {
      other.close();
    }
  });

  test("what is not a mode is refused in words", async () => {
    await begin("nftables");
    await expect(askProxy(control, { switchTo: "ipvs" as ProxyMode })).rejects.toThrow(
      'there is no mode "ipvs": use nftables, iptables, userspace',
    );
    expect(await askProxy(control)).toEqual({ mode: "nftables", services: 1, draining: [] });
  });
});
