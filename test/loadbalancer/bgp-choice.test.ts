import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { resources } from "../../src/kube/index.ts";
import { addressPools, bgpPeers, bgpSessions } from "../../src/loadbalancer/index.ts";
import { asn, noSpeaker, openBgpLab, routerAddress, routerAddress6, until, type BgpLab } from "../support/bgp-lab.ts";
import { describeSpeakers } from "../support/speakers.ts";
import { nodeAddress, nodeAddress6, sleep } from "../support/vip-lab.ts";

// What the router's own table says: of a router of the same AS, of one of another AS, and of one that is spoken with by IPv6.
const sides = [
  { name: "inner", address: routerAddress, as: asn.nodes },
  { name: "outer", address: "10.9.0.253", as: asn.router },
  { name: "six", address: routerAddress6, as: asn.router },
];

describeSpeakers("which router is told what, by which node,", (speaker) => {
  let lab: BgpLab;
  let address: string;
  const another = speaker === "bird" ? "frr" : "bird";

  beforeAll(async () => {
    lab = await openBgpLab({
      speaker,
      sides,
      six: true,
      nodes: 2,
      addresses: ["10.7.0.0/24", "fd00:7::/112"],
      peer: { gracefulRestart: { restartTimeSeconds: 30 }, holdTimeSeconds: 9 },
    });
    for (const node of lab.nodes) await lab.startAgent(node);
    address = await lab.expose("web");
    await table("inner", `${address}/32 100`, `${address}/32 100`);
  });
  afterAll(async () => {
    await lab?.close();
  });

  /** Routes that a side has from a node, with their local preference where there is one. */
  const routesOf = async (side: string, node: string): Promise<string> => {
    const told = await lab.router(`show route protocol ${node.replace("-", "_")} all`, side).catch(() => "");
    const found: string[] = [];
    for (const line of told.split("\n")) {
      const [, prefix] = /^([0-9a-f.:]+\/\d+)\s/.exec(line) ?? [];
      const [, preference] = /BGP\.local_pref: (\d+)/.exec(line) ?? [];
      if (prefix) found.push(prefix);
      else if (preference && side === "inner") found.push(`${found.pop() ?? ""} ${preference}`);
    }
    return found.sort().join();
  };

  /** Waits until a side has just these from the first and from the second node. */
  const table = (side: string, ...wanted: readonly string[]) => {
    const have = () => Promise.all(lab.nodes.map((node) => routesOf(side, node)));
    const isSo = async () => JSON.stringify(await have()) === JSON.stringify(wanted);
    return until(lab, `${side} is told ${wanted.join(" and ")}`, isSo, have);
  };

  /** What the router says of its session with the first node: another one is since another time. */
  const sinceOf = async () => /^node_1 .*$/m.exec(await lab.router("show protocols node_1"))?.[0];

  const announce = (announced: object) =>
    lab.client.patch(addressPools, { name: "lab" }, { type: "merge", body: { spec: { announce: announced } } });
  const slice = (node: string) =>
    lab.client.create(resources.EndpointSlice, {
      metadata: { name: `local-${node}`, namespace: "default", labels: { "kubernetes.io/service-name": "local" } },
      addressType: "IPv4",
      ports: [{ port: 80 }],
      endpoints: [{ addresses: [nodeAddress(node)], nodeName: node, conditions: { ready: true } }],
    });

  test("a router of the same AS sees the preference; each is told only what is for it, by the nodes that are to", async () => {
    const [, second = ""] = lab.nodes;
    await lab.client.patch(
      resources.Node,
      { name: second },
      { type: "merge", body: { metadata: { labels: { rack: "b" } } } },
    );
    await announce({
      advertisements: [
        { peers: ["inner"], localPreference: 250 },
        { peers: ["outer"], aggregationLength: 24, nodeSelector: { matchLabels: { rack: "b" } } },
      ],
    });
    await table("inner", `${address}/32 250`, `${address}/32 250`);
    await table("outer", "", "10.7.0.0/24");
    await announce({ advertisements: null });
    await table("inner", `${address}/32 100`, `${address}/32 100`);
    await table("outer", `${address}/32`, `${address}/32`);
  });

  test("only the nodes of a peer speak with it, and say of no session that they do not have", async () => {
    const of = (selector: object | null) =>
      lab.client.patch(bgpPeers, { name: "outer" }, { type: "merge", body: { spec: { nodeSelector: selector } } });
    await of({ matchLabels: { rack: "b" } });
    await table("outer", "", `${address}/32`);
    await until(lab, "one node has a session with it", async () => {
      const { items } = await lab.client.list(bgpSessions);
      const there = items.filter(({ spec }) => spec.peer === "outer").map(({ spec }) => spec.node);
      return there.join() === "node-2";
    });
    await of(null);
    await table("outer", `${address}/32`, `${address}/32`);
  });

  test("policy Local: a router of the same AS prefers the node with an endpoint, others see its shorter path", async () => {
    const [one = ""] = lab.nodes;
    await announce({ localFallback: true });
    const local = await lab.expose("local", { externalTrafficPolicy: "Local" });
    await slice(one);
    await table("inner", `${address}/32 100,${local}/32 100`, `${address}/32 100,${local}/32 50`);
    const told = await lab.router(`show route for ${local} protocol node_2 all`, "outer");
    expect(told).toMatch(/BGP\.as_path: 64512 64512 64512 64512\n/);
    expect(await lab.nextHops(local)).toEqual([nodeAddress(one)]);
    await lab.client.delete(resources.Service, { namespace: "default", name: "local" });
    await table("inner", `${address}/32 100`, `${address}/32 100`);
  });

  test("IPv6: the address is led to the nodes, and answers", async () => {
    const six = await lab.expose("six", { ipFamilies: ["IPv6"], ipFamilyPolicy: "SingleStack" });
    await table("six", `${six}/128`, `${six}/128`);
    await until(
      lab,
      "the router's kernel leads it to both",
      async () => (await lab.nextHops(six)).join() === lab.nodes.map(nodeAddress6).join(),
      () => lab.nextHops(six),
    );
    const probe = await lab.flows(six, 24);
    await probe.start();
    await sleep(100);
    const { lost, answers } = await probe.stop();
    expect({ lost, nodes: Object.keys(answers).sort() }).toEqual({ lost: 0, nodes: lab.nodes });
  });

  test("graceful restart: the speaker is killed and starts again, and the router never lets go of its routes", async () => {
    const [node = ""] = lab.nodes;
    const probe = await lab.flows(address, 24);
    const before = { since: await sinceOf(), pid: await lab.speakerPid(node) };
    const monitor = lab.startOn("router", "ip", "monitor", "route");
    let changes = "";
    monitor.stdout?.on("data", (chunk: Buffer) => (changes += String(chunk)));
    await probe.start();
    await lab.killSpeaker(node);
    await until(lab, "the session is another", async () => {
      const since = await sinceOf();
      return since !== before.since && (since?.includes("Established") ?? false);
    });
    await until(lab, "nothing is stale", async () => !/restart active/i.test(await lab.router("show protocols all")));
    const seen = await probe.stop();
    monitor.kill("SIGKILL");
    expect(await lab.speakerPid(node)).not.toBe(before.pid);
    expect({ hit: seen.hit, changes: changes.includes(address) }).toEqual({ hit: 0, changes: false });
    expect(Object.keys(seen.answers).sort()).toEqual([...lab.nodes]);
    await table("outer", `${address}/32`, `${address}/32`);
  });

  // BIRD is one process.
  if (speaker === "frr")
    test("zebra and bfdd are killed: they come back, and no session notices", async () => {
      const [node = ""] = lab.nodes;
      const pids = () =>
        Promise.all(
          ["zebra", "bfdd"].map((name) => readFile(join(lab.dir, node, `${name}.pid`), "utf8").catch(() => "")),
        );
      const before = { since: await sinceOf(), pid: await lab.speakerPid(node) };
      const killed = await pids();
      for (const pid of killed) process.kill(Number(pid), "SIGKILL");
      await until(lab, "others run in their place", async () => {
        const now = await pids();
        return now.every((pid, i) => pid !== "" && pid !== killed[i]);
      });
      await announce({ advertisements: [{ localPreference: 90 }] });
      await table("inner", `${address}/32 90`, `${address}/32 90`);
      await announce({ advertisements: null });
      await table("inner", `${address}/32 100`, `${address}/32 100`);
      expect({ since: await sinceOf(), pid: await lab.speakerPid(node) }).toEqual(before);
    });

  test("an agent is killed: its speaker goes on, is adopted by the next one, and told what is another", async () => {
    const [node = ""] = lab.nodes;
    const before = { since: await sinceOf(), pid: await lab.speakerPid(node) };
    await lab.stopAgent(node, "SIGKILL");
    await announce({ advertisements: [{ localPreference: 70 }] });
    await table("inner", `${address}/32 100`, `${address}/32 70`);
    await lab.startAgent(node);
    await table("inner", `${address}/32 70`, `${address}/32 70`);
    expect({ since: await sinceOf(), pid: await lab.speakerPid(node) }).toEqual(before);
    await announce({ advertisements: null });
    await table("inner", `${address}/32 100`, `${address}/32 100`);
  });

  test.skipIf(noSpeaker(another))(
    `a node that is to speak by ${another} ends what an agent left of ${speaker}`,
    async () => {
      const [node = ""] = lab.nodes;
      const pid = Number(await lab.speakerPid(node));
      await until(lab, "the session is told", async () => (await sinceOf())?.includes("Established") ?? false);
      await lab.stopAgent(node, "SIGKILL");
      const since = await sinceOf();
      await lab.startAgent(node, "--speaker", another);
      await until(lab, "the session is another", async () => {
        const now = await sinceOf();
        return now !== since && (now?.includes("Established") ?? false);
      });
      await table("inner", `${address}/32 100`, `${address}/32 100`);
      expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    },
  );

  test("the agent ends: its routes go at once, though routers would keep them over a restart", async () => {
    const [node = ""] = lab.nodes;
    await lab.stopAgent(node, "SIGTERM");
    await table("inner", "", `${address}/32 100`);
    await table("outer", "", `${address}/32`);
  });
});
