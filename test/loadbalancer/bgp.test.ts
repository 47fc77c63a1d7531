import { afterAll, beforeAll, expect, test } from "vitest";
import { resources } from "../../src/kube/index.ts";
import { addressPools, bgpPeers, bgpSessions } from "../../src/loadbalancer/index.ts";
import { asn, openBgpLab, until, type BgpLab, type FlowProbe } from "../support/bgp-lab.ts";
import { describeSpeakers } from "../support/speakers.ts";
import { nodeAddress, sleep } from "../support/vip-lab.ts";

describeSpeakers("addresses by BGP on three nodes", (speaker) => {
  let lab: BgpLab;
  let address: string;
  let probe: FlowProbe;

  beforeAll(async () => {
    lab = await openBgpLab({
      speaker,
      nodes: 3,
      addresses: ["10.7.0.0/24"],
      announce: { advertisements: [{ communities: ["64512:100", "large:64512:1:2"], localPreference: 150 }] },
      session: 'bfd on; password "sesame,open";',
      peer: { bfd: {}, holdTimeSeconds: 9, passwordSecret: { namespace: "default", name: "tor" } },
    });
    await lab.client.create(resources.Secret, {
      metadata: { namespace: "default", name: "tor" },
      data: { password: Buffer.from("sesame,open").toString("base64") },
    });
    for (const node of lab.nodes) await lab.startAgent(node);
    address = await lab.expose("web");
    await hops(...lab.nodes);
    probe = await lab.flows(address, 24);
  });
  afterAll(async () => {
    await lab?.close();
  });

  const hops = (...nodes: readonly string[]) =>
    until(
      lab,
      `the router leads ${address} to ${nodes.join(", ")}`,
      async () => (await lab.nextHops(address)).join() === nodes.map(nodeAddress).sort().join(),
      async () => [await lab.nextHops(address), await lab.router("show protocols all")],
    );

  const slice = (node: string, conditions: object) =>
    lab.client.create(resources.EndpointSlice, {
      metadata: { name: `local-${node}`, namespace: "default", labels: { "kubernetes.io/service-name": "local" } },
      addressType: "IPv4",
      ports: [{ port: 80 }],
      endpoints: [{ addresses: [nodeAddress(node)], nodeName: node, conditions }],
    });

  test("sessions are what they are: state, BFD and what the router was told, with a password from a Secret", async () => {
    await until(lab, "each session tells of its prefix", async () => {
      const { items } = await lab.client.list(bgpSessions);
      const good = items.filter(
        ({ status }) =>
          status?.state === "Established" && status.bfd === "Up" && status.prefixes?.[0] === `${address}/32`,
      );
      return good.length === 3;
    });
    const told = await lab.routes(address);
    expect(told).toContain("(64512,100)");
    expect(told).toContain("(64512, 1, 2)");
    expect(told).toMatch(/BGP.as_path: 64512\n/);
  });

  test("a node is cut off: its flows go elsewhere, the others notice nothing", async () => {
    const [node = ""] = lab.nodes;
    await probe.start();
    await sleep(300);
    await lab.isolate(node);
    await hops(...lab.nodes.slice(1));
    await sleep(300);
    const seen = await probe.stop();
    expect(seen.answers[node]).toBeUndefined();
    expect(seen.answers["nobody"]).toBeUndefined();
    // About a third of the flows were that node's; those of the others are moved without a loss.
    expect(seen.hit).toBeLessThanOrEqual(18);
    await lab.rejoin(node);
    await hops(...lab.nodes);
  });

  test("a node is cordoned: it withdraws, and nothing is lost", async () => {
    const [, node = ""] = lab.nodes;
    const cordon = (unschedulable: boolean | null) =>
      lab.client.patch(resources.Node, { name: node }, { type: "merge", body: { spec: { unschedulable } } });
    await probe.start();
    await cordon(true);
    await hops(...lab.nodes.filter((one) => one !== node));
    await sleep(300);
    const seen = await probe.stop();
    expect({ hit: seen.hit, left: seen.answers[node] }).toEqual({ hit: 0, left: undefined });
    await cordon(null);
    await hops(...lab.nodes);
  });

  test("the speaker is killed: its node is left at once, and comes back by itself", async () => {
    const [node = ""] = lab.nodes;
    const before = await lab.speakerPid(node);
    await lab.killSpeaker(node);
    await hops(...lab.nodes.slice(1));
    await hops(...lab.nodes);
    expect(await lab.speakerPid(node)).not.toBe(before);
  });

  test("the API and then the agents are away: nothing moves; an agent that starts meanwhile announces what was known", async () => {
    const [node = ""] = lab.nodes;
    await lab.stopApi();
    await probe.start();
    await sleep(1_000);
    expect(await lab.nextHops(address)).toHaveLength(3);
    await lab.stopAgent(node, "SIGKILL");
    await sleep(500);
    const seen = await probe.stop();
    expect({ hit: seen.hit, lost: seen.lost }).toEqual({ hit: 0, lost: 0 });
    // As at a restart of the machine: the daemon is gone as well.
    await lab.killSpeaker(node);
    await hops(...lab.nodes.slice(1));
    await lab.startAgent(node);
    await hops(...lab.nodes);
    await lab.startApi();
    await until(lab, "the node is led again", async () => {
      const { items } = await lab.client.list(bgpSessions);
      return items.filter(({ status }) => status?.state === "Established").length === 3;
    });
    await hops(...lab.nodes);
  });

  test("policy Local: nodes without endpoints announce nothing, or as a fallback", async () => {
    const [one = "", two = "", three = ""] = lab.nodes;
    const former = address;
    address = await lab.expose("local", { externalTrafficPolicy: "Local" });
    await hops(one, two, three);
    await slice(one, { ready: true });
    await hops(one);
    await lab.client.patch(
      addressPools,
      { name: "lab" },
      { type: "merge", body: { spec: { announce: { localFallback: true } } } },
    );
    await until(lab, "the others announce it with a longer path", async () => {
      const told = await lab.routes(address);
      return (told.match(/as_path: 64512 64512 64512 64512\n/g) ?? []).length === 2;
    });
    expect(await lab.nextHops(address)).toEqual([nodeAddress(one)]);
    await lab.isolate(one);
    await hops(two, three);
    await lab.rejoin(one);
    await hops(one);
    // One that ends but still serves is left, as long as another is there.
    await slice(two, { ready: false, serving: true, terminating: true });
    await sleep(300);
    expect(await lab.nextHops(address)).toEqual([nodeAddress(one)]);
    address = former;
  });

  test("blocks instead of addresses, and a peer that is wrong harms no other", async () => {
    await lab.client.create(bgpPeers, {
      metadata: { name: "wrong" },
      spec: {
        peerAddress: "10.9.0.253",
        peerASN: asn.router,
        localASN: asn.nodes,
        passwordSecret: { namespace: "default", name: "none" },
      },
    });
    await lab.client.patch(
      addressPools,
      { name: "lab" },
      {
        type: "merge",
        body: { spec: { announce: { advertisements: [{ aggregationLength: 24, communities: ["no-export"] }] } } },
      },
    );
    await until(lab, "there is one block", async () => {
      const told = await lab.router("show route 10.7.0.0/24 all").catch(() => "");
      return (told.match(/\(65535,65281\)/g) ?? []).length === 3 && !(await lab.routes(address)).includes("/32");
    });
    await until(lab, "what is wrong is said", async () => {
      const { items } = await lab.client.list(bgpSessions);
      const wrong = items.filter(({ spec }) => spec.peer === "wrong");
      return (
        wrong.length === 3 && wrong.every(({ status }) => status?.message?.includes("Secret default/none") ?? false)
      );
    });
    const { items } = await lab.client.list(bgpSessions);
    expect(items.filter(({ status }) => status?.state === "Established")).toHaveLength(3);
  });

  test("the last Service goes: so does what was announced; the agent ends: so do its sessions", async () => {
    for (const name of ["web", "local"]) await lab.client.delete(resources.Service, { namespace: "default", name });
    await until(
      lab,
      "nothing is announced",
      async () => !/^10\.7\./m.test(await lab.router("show route").catch(() => "10.7.")),
    );
    for (const node of lab.nodes) await lab.stopAgent(node, "SIGTERM");
    await until(lab, "no session is left", async () => !(await lab.router("show protocols")).includes("Established"));
  });
});
