import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createFakeClient, type FakeClient } from "../../src/client/index.ts";
import { resources } from "../../src/kube/index.ts";
import { openNetlink, type Netlink } from "../../src/proxy/netlink.ts";
import { removeProxy, startProxy, type Proxy } from "../../src/proxy/index.ts";
import { runOrThrow, silentLogger, systemClock, systemCommands, type Logger } from "../../src/system/index.ts";
import { clientPod, createLab, nodeAddress, outside, podAddress, whyNoLab, type Lab } from "./lab.ts";
import { service, slice } from "./objects.ts";

const why = whyNoLab ? ` (${whyNoLab})` : "";
const pods = [0, 1, 2, 3].map(podAddress);

describe.skipIf(whyNoLab).each(["nftables", "iptables"] as const)(`rules that are there already: %s${why}`, (mode) => {
  let lab: Lab;
  let client: FakeClient;
  let proxy: Proxy;
  let stop: AbortController;
  let said: { readonly fields: object; readonly text: string }[] = [];
  const note = (fields: object, text: string) => void said.push({ fields, text });
  const log: Logger = { ...silentLogger, warn: note, error: note, child: () => log };

  async function begin(): Promise<void> {
    stop = new AbortController();
    proxy = await startProxy({
      client,
      nodeName: "node1",
      mode,
      nodeAddresses: [nodeAddress, "10.42.2.1", "fd77::1"],
      podCidrs: ["10.42.0.0/16", "fd42::/16"],
      serviceCidrs: ["10.96.0.0/16", "fd96::/112"],
      signal: stop.signal,
      clock: systemClock,
      log,
      commands: systemCommands,
    });
    await proxy.ready;
  }
  async function end(): Promise<void> {
    stop.abort();
    await proxy.stopped;
  }
  async function settled(): Promise<void> {
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    await proxy.settled();
    expect(proxy.failure()).toBeUndefined();
  }
  /** Services of each kind, so that each table has rows, in both families. */
  function everyKind(): void {
    const ports = [
      { name: "web", port: 80, protocol: "TCP", nodePort: 30080 },
      { name: "dns", port: 53, protocol: "UDP", nodePort: 30053 },
    ];
    const two = { ipFamilies: ["IPv4", "IPv6"], ipFamilyPolicy: "PreferDualStack" };
    const kinds = {
      plain: {
        type: "LoadBalancer",
        ...two,
        clusterIP: "10.96.0.20",
        clusterIPs: ["10.96.0.20", "fd96::20"],
        externalIPs: ["203.0.113.5"],
        ports,
        loadBalancerSourceRanges: ["192.168.77.0/24", "198.51.100.0/24", "fd77::/64"],
      },
      sticky: { clusterIP: "10.96.0.21", sessionAffinity: "ClientIP" },
      empty: { clusterIP: "10.96.0.22" },
      hashed: { clusterIP: "10.96.0.24" },
      near: {
        type: "NodePort",
        ports: [{ port: 80, nodePort: 30081 }],
        clusterIP: "10.96.0.23",
        externalTrafficPolicy: "Local",
      },
    };
    for (const [name, spec] of Object.entries(kinds)) {
      const lb = name === "plain" ? ["10.97.0.1", "fd97::1"] : [];
      const plain = service(name, spec, { lb });
      const annotations = { "fairlead.dev/balance": "source-hash", "fairlead.dev/override": "log" };
      client.put(
        resources.Service,
        name === "hashed" ? { ...plain, metadata: { ...plain.metadata, annotations } } : plain,
      );
      if (name === "empty") continue;
      if (name !== "plain") {
        client.put(resources.EndpointSlice, slice(name, pods));
        continue;
      }
      for (const [i, { name: portName, protocol }] of ports.entries()) {
        client.put(resources.EndpointSlice, slice(name, pods, { portName, protocol, suffix: `four${i}` }));
        const six = slice(name, ["fd42:2::2", "fd42:2::3"], { portName, protocol, suffix: `six${i}` });
        client.put(resources.EndpointSlice, { ...six, addressType: "IPv6" });
      }
    }
  }

  beforeAll(async () => {
    lab = await createLab();
    for (const address of pods) await lab.pods.serve({ address, port: 8080 });
  });
  afterAll(() => lab?.close());
  beforeEach(async () => {
    client = createFakeClient();
    said = [];
    everyKind();
    await begin();
    await settled();
  });
  afterEach(async () => {
    await end();
    await removeProxy(systemCommands);
  });

  const stick = async (source: string) =>
    Object.keys(await lab.client.ask({ address: "10.96.0.21", port: 80, source, count: 12 }));

  test("clients with affinity stay with their endpoint when the proxy starts again", async () => {
    const before = [await stick(clientPod), await stick(outside)];
    expect(before.flat()).toHaveLength(2);
    for (let i = 0; i < 3; i++) {
      await end();
      await begin();
      expect([await stick(clientPod), await stick(outside)]).toEqual(before);
    }
    expect(said).toEqual([]);
  });

  test("what the proxy changes itself is not taken for somebody else's doing", async () => {
    for (let i = 0; i < 10; i++) {
      client.put(
        resources.Service,
        service(`own${i}`, { clusterIP: `10.96.1.${i}`, sessionAffinity: i % 2 ? "ClientIP" : "None" }),
      );
      client.put(resources.EndpointSlice, slice(`own${i}`, pods.slice(0, 1 + (i % 4))));
      await settled();
    }
    await systemClock.sleep(600, stop.signal);
    expect(said).toEqual([]);
  });

  const inNftables = mode === "nftables" ? test : undefined;
  inNftables?.("a proxy that starts again changes no rule, but for what has changed meanwhile", async () => {
    const netlink: Netlink = await openNetlink();
    await end();
    const generation = netlink.generation();
    await begin();
    await settled();
    // Whether nft can be used is tried with a table that is put up and taken away.
    const tried = 1;
    expect(netlink.generation()).toBe(generation + tried);
    await end();
    client.remove(resources.Service, { namespace: "default", name: "near" });
    client.put(resources.Service, service("new", { clusterIP: "10.96.0.29" }));
    client.put(resources.EndpointSlice, slice("new", [podAddress(2)]));
    await begin();
    await settled();
    expect(netlink.generation()).toBe(generation + tried * 2 + 1);
    netlink.close();
    expect(Object.keys(await lab.client.ask({ address: "10.96.0.29", port: 80, source: clientPod }))).toEqual([
      `${podAddress(2)} ${clientPod}`,
    ]);
    expect(await lab.client.ask({ address: "10.96.0.23", port: 80, source: clientPod })).toEqual({ refused: 1 });
  });

  /** Damage, as a script of nft that undoes something of ours. */
  const nft = (input: string) => runOrThrow(systemCommands, "nft", ["-f", "-"], { input });
  async function elements(family: "ip" | "ip6", set: string): Promise<unknown[]> {
    const text = await runOrThrow(systemCommands, "nft", ["-j", "list", "table", family, "fairlead"]);
    const { nftables } = JSON.parse(text) as { nftables: Record<string, { name?: string; elem?: unknown[] }>[] };
    const found = nftables.map((one) => one["map"] ?? one["set"]).find((one) => one?.name === set);
    return (found?.elem ?? []).map((one) => JSON.stringify(one)).sort();
  }
  /** An element as nft reads it, key and value apart. */
  async function someElement(family: "ip" | "ip6", set: string): Promise<readonly [key: string, value: string]> {
    const text = await runOrThrow(systemCommands, "nft", ["list", "set", family, "fairlead", set]).catch(() =>
      runOrThrow(systemCommands, "nft", ["list", "map", family, "fairlead", set]),
    );
    const [, first = ""] = /elements = \{\s*([^,}]+)/.exec(text) ?? [];
    const [key = "", value = ""] = first.trim().split(" : ");
    return [key, value];
  }

  const sets = {
    ip: [
      "frontends",
      "nodeports",
      "pools",
      "slots",
      "ids",
      "endpoints",
      "vips",
      "hairpin",
      "cidrs",
      "nodes",
      "pods",
      "unmasked",
      "ranges",
    ],
    ip6: ["frontends", "nodeports", "pools", "slots", "vips", "cidrs", "unmasked", "ranges"],
  } as const;
  inNftables?.(
    "a row that somebody takes out, changes or puts in is put right, and nothing else is touched",
    async () => {
      const netlink: Netlink = await openNetlink();
      for (const family of ["ip", "ip6"] as const) {
        for (const set of sets[family]) {
          const before = await elements(family, set);
          expect(before.length, `${family} ${set}`).toBeGreaterThan(0);
          const [key, value] = await someElement(family, set);
          await nft(`delete element ${family} fairlead ${set} { ${key} }`);
          const generation = netlink.generation();
          await expect
            .poll(() => elements(family, set), { timeout: 30_000, message: `${family} ${set}` })
            .toEqual(before);
          // One transaction of ours put it back, with what was wrong alone.
          expect(netlink.generation(), set).toBeLessThanOrEqual(generation + 1);
          if (!["slots", "endpoints", "frontends"].includes(set)) continue;
          const other = set === "frontends" ? "0x1000f800" : family === "ip" ? "192.0.2.9 . 9" : "2001:db8::9 . 9";
          await nft(
            `delete element ${family} fairlead ${set} { ${key} }\nadd element ${family} fairlead ${set} { ${key} : ${other} }`,
          );
          await expect.poll(() => elements(family, set), { timeout: 30_000 }).toEqual(before);
          expect(value).not.toBe(other);
        }
      }
      await nft("add element ip fairlead frontends { 10.96.7.7 . tcp . 80 : 0x10000800 }");
      await expect.poll(async () => (await elements("ip", "frontends")).join("").includes("10.96.7.7")).toBe(false);
      netlink.close();
      expect(said.map(({ text }) => text)).not.toContain(
        "the rules of the proxy are gone from the kernel or changed: they are put back",
      );
    },
  );

  inNftables?.("a rule that is taken out or put in has everything built anew, and the clients are served", async () => {
    const rules = () => runOrThrow(systemCommands, "nft", ["-s", "list", "chain", "ip", "fairlead", "services"]);
    const before = await rules();
    for (const damage of [
      "flush chain ip fairlead services",
      "insert rule ip fairlead services counter drop",
      "flush chain ip fairlead nat-postrouting",
    ]) {
      said = [];
      await nft(damage);
      await expect
        .poll(() => said.map(({ text }) => text), { timeout: 30_000 })
        .toEqual(["the rules of the proxy are gone from the kernel or changed: they are put back"]);
      await expect.poll(rules, { timeout: 30_000 }).toBe(before);
      expect(
        await lab.client.ask({ address: "10.96.0.20", port: 80, source: outside, count: 8 }).then(Object.keys),
      ).not.toContain("silent");
    }
  });

  inNftables?.("what others do in tables of their own is not looked at", async () => {
    said = [];
    for (let i = 0; i < 50; i++)
      await nft(
        `add table ip other\nadd map ip other frontends { type ipv4_addr : mark; elements = { 10.0.0.${i} : ${i} } }\ndelete table ip other`,
      );
    await systemClock.sleep(600, stop.signal);
    expect(said).toEqual([]);
    expect(proxy.failure()).toBeUndefined();
  });

  const inIptables = mode === "iptables" ? test : undefined;
  inIptables?.("rules that somebody takes out of our chains come back", async () => {
    const rules = async (family: string) =>
      (await runOrThrow(systemCommands, `${family}-save`, []))
        .split("\n")
        .filter((line) => /^-A .*KUBE/.test(line))
        .sort();
    for (const family of ["iptables", "ip6tables"]) {
      const before = await rules(family);
      const some = (kind: string) => new RegExp(`^-A (KUBE-${kind}-\\S+)`, "m").exec(before.join("\n"))?.[1] ?? "";
      const shared = [
        ["nat", "KUBE-SERVICES"],
        ["nat", "KUBE-POSTROUTING"],
        ["filter", "KUBE-UNKNOWN-SERVICES"],
      ] as const;
      const own = [
        ["nat", some("SVC")],
        ["nat", some("SEP")],
      ] as const;
      for (const [table, chain] of family === "iptables"
        ? [...shared, ...own]
        : [...shared.slice(0, 1), ...own.slice(0, 1)]) {
        await runOrThrow(systemCommands, family, ["-w", "5", "-t", table, "-D", chain, "1"]);
        await expect.poll(() => rules(family), { timeout: 30_000, message: `${family} ${chain}` }).toEqual(before);
      }
      await runOrThrow(systemCommands, family, [
        "-w",
        "5",
        "-t",
        "nat",
        "-A",
        "KUBE-SERVICES",
        "-p",
        "tcp",
        "-j",
        "ACCEPT",
      ]);
      await expect.poll(() => rules(family), { timeout: 30_000 }).toEqual(before);
    }
  });
});
