import { access } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { resources } from "../../src/kube/index.ts";
import { addressClaims } from "../../src/loadbalancer/index.ts";
import { holderOf, noVipLab, openVipLab, sleep, type Probe, type VipLab } from "../support/vip-lab.ts";

/** Seconds that the API server is away; `VIP_API_AWAY=300` is the whole form. */
const away = Number(process.env["VIP_API_AWAY"] ?? 2);

describe.skipIf(noVipLab)(`addresses by VRRP on three nodes${noVipLab ? ` (${noVipLab})` : ""}`, () => {
  let lab: VipLab;
  let vip: string;
  let probe: Probe;

  beforeAll(async () => {
    lab = await openVipLab({ nodes: 3, addresses: ["10.9.0.100-10.9.0.119"] });
    for (const node of lab.nodes) await lab.startAgent(node);
    vip = await lab.expose("web");
    await holderOf(lab, vip);
    probe = await lab.probe(vip);
  });
  afterAll(async () => {
    await lab?.close();
  });

  /** Waits until a node's keepalived runs. */
  async function takesPart(node: string): Promise<void> {
    const runs = () =>
      access(`${lab.dir}/${node}/vrrp.pid`).then(
        () => true,
        () => false,
      );
    for (let tries = 0; !(await runs()); tries++) {
      if (tries > 300) throw new Error(`${node} does not take part: ${await lab.log(node)}`);
      await sleep(100);
    }
  }

  /** Does something while the address is probed, until another node than before holds it. */
  async function moved(work: (holder: string) => Promise<void>) {
    const before = await holderOf(lab, vip);
    await probe.start();
    await sleep(200);
    await work(before);
    const after = await holderOf(lab, vip, (node) => node !== before);
    await sleep(300);
    const seen = await probe.stop();
    expect(seen.answers).toEqual([before, after]);
    return { ...seen, before, after };
  }

  test("the holder is cut off: another takes over, and when it is back it takes nothing", async () => {
    const before = await holderOf(lab, vip);
    await probe.start();
    await sleep(200);
    await lab.isolate(before);
    for (let tries = 0; (await lab.holders(vip)).every((node) => node === before); tries++) {
      if (tries > 100) throw new Error("nobody took over");
      await sleep(50);
    }
    await sleep(1_000);
    const seen = await probe.stop();
    expect(seen.answers).toHaveLength(2);
    await lab.rejoin(before);
    expect(await holderOf(lab, vip)).not.toBe("");
  });

  test("the holder is cordoned: another holds the address, never two at once", async () => {
    const { dual, before } = await moved(async (holder) => {
      await lab.client.patch(
        resources.Node,
        { name: holder },
        { type: "merge", body: { spec: { unschedulable: true } } },
      );
    });
    expect(dual).toBe(0);
    await lab.client.patch(
      resources.Node,
      { name: before },
      { type: "merge", body: { spec: { unschedulable: null } } },
    );
  });

  test.each(["parent", "child"] as const)("keepalived's %s is killed: its addresses go with it", async (which) => {
    const { dual } = await moved((holder) => lab.killDaemon(holder, which));
    expect(dual).toBe(0);
  });

  test("the agent is killed: nothing moves, and the next start adopts what runs", async () => {
    const before = await holderOf(lab, vip);
    await probe.start();
    await lab.stopAgent(before, "SIGKILL");
    await sleep(1_000);
    await lab.startAgent(before);
    for (let tries = 0; !(await lab.log(before)).includes("is adopted"); tries++) {
      if (tries > 300) throw new Error(`nothing is adopted: ${await lab.log(before)}`);
      await sleep(100);
    }
    await sleep(1_000);
    const seen = await probe.stop();
    expect({ lost: seen.lost, dual: seen.dual, answers: seen.answers }).toEqual({
      lost: 0,
      dual: 0,
      answers: [before],
    });
    // It is led by the new agent, which ends what it adopted.
    await moved((holder) => lab.stopAgent(holder, "SIGTERM"));
    await lab.startAgent(before);
    await takesPart(before);
  });

  test("the API server is away: nothing moves, and failover goes on", { timeout: 240_000 + away * 1_000 }, async () => {
    const before = await holderOf(lab, vip);
    await lab.stopApi();
    await probe.start();
    await sleep(away * 1_000);
    expect(await lab.holders(vip)).toEqual([before]);
    await lab.killDaemon(before, "child");
    for (let tries = 0; (await lab.holders(vip)).every((node) => node === before); tries++) {
      if (tries > 100) throw new Error("nobody took over");
      await sleep(50);
    }
    const { dual } = await probe.stop();
    expect(dual).toBe(0);
    // A node that starts anew meanwhile, as after a restart of the machine, takes part as it last did.
    const [holder = ""] = await lab.holders(vip);
    const other = lab.nodes.find((node) => node !== holder && node !== before) ?? "";
    await lab.stopAgent(other, "SIGKILL");
    await lab.killDaemon(other, "parent");
    await lab.killDaemon(other, "child").catch(() => {});
    await lab.startAgent(other);
    for (let tries = 0; !(await lab.log(other)).includes("takes part as it last did"); tries++) {
      if (tries > 200) throw new Error(`it does not take part: ${await lab.log(other)}`);
      await sleep(100);
    }
    expect(await lab.holders(vip)).toEqual([holder]);
    await lab.startApi();
    await holderOf(lab, vip, (node) => node !== before);
  });

  test("a node that comes takes nothing, and is another's successor", async () => {
    const before = await holderOf(lab, vip);
    await probe.start();
    await lab.addNode("node-4");
    await lab.startAgent("node-4");
    await takesPart("node-4");
    await sleep(2_000);
    const { answers, dual } = await probe.stop();
    expect({ answers, dual }).toEqual({ answers: [before], dual: 0 });
  });

  test("when the Service goes, so does the address, from all nodes", async () => {
    await lab.client.delete(resources.Service, { namespace: "default", name: "web" });
    const isOver = async () => {
      const { spec } = await lab.client.get(addressClaims, { name: vip });
      return spec.reservedFor?.name === "web" && (await lab.holders(vip)).length === 0;
    };
    for (let tries = 0; !(await isOver()); tries++) {
      if (tries > 200) {
        const claim = await lab.client.get(addressClaims, { name: vip });
        const logs = await Promise.all([...lab.nodes, "loadbalancer"].map((one) => lab.log(one)));
        const held = JSON.stringify([await lab.holders(vip), claim]);
        throw new Error(`it is still there: ${held}\n${logs.map((one) => one.slice(-1500)).join("\n")}`);
      }
      await sleep(100);
    }
  });
});
