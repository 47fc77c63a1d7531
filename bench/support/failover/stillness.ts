import { once } from "node:events";
import { access, rm } from "node:fs/promises";
import { join } from "node:path";
import { resources } from "../../../src/kube/index.ts";
import { holderOf, openVipLab, sleep, type Recording, type VipLab } from "../../../test/support/vip-lab.ts";
import type { Part } from "./part.ts";

const addresses = ["10.9.0.100-10.9.0.119"];

/** The API server is away for so many seconds: nothing may move. Every change of addresses on every node is counted, by the kernel. */
export const away = (seconds: number): Part => ({
  name: "away",
  async run(tell) {
    const lab = await openVipLab({ nodes: 3, addresses });
    try {
      for (const node of lab.nodes) await lab.startAgent(node);
      const vips = await Promise.all(["a", "b", "c", "d"].map((name) => lab.expose(name)));
      for (const vip of vips) await holderOf(lab, vip);
      let moves = 0;
      for (const node of lab.nodes) {
        const monitor = lab.startOn(node, "ip", "-o", "monitor", "address");
        monitor.stdout?.on("data", (chunk: Buffer) => {
          moves += String(chunk)
            .split("\n")
            .filter((line) => vips.some((vip) => line.includes(` ${vip}/`))).length;
        });
        await once(monitor, "spawn");
      }
      // A load that was uneven at the start is made even once.
      for (let before = -1, tries = 0; before !== moves && tries < 10; tries++) {
        before = moves;
        await sleep(10_000);
      }
      moves = 0;
      await lab.stopApi();
      await sleep(seconds * 1_000);
      tell({ name: `vrrp, API away ${seconds} s, addresses that moved`, value: moves, unit: "", goal: { most: 0 } });
      await lab.startApi();
    } finally {
      await lab.close();
    }
  },
});

/** A node is added that would be a holder's successor: at no sample may two answer, and nothing may move. */
export const added: Part = {
  name: "added",
  async run(tell, runs) {
    const lab = await openVipLab({ nodes: 3, addresses });
    try {
      for (const node of lab.nodes) await lab.startAgent(node);
      const vip = await lab.expose("web");
      await holderOf(lab, vip);
      const name = "node-4";
      await lab.addNode(name);
      const { metadata, spec, status } = await lab.client.get(resources.Node, { name });
      const probe = await lab.probe(vip);
      const seen: Recording[] = [];
      let moved = 0;
      for (let run = 0; run < runs; run++) {
        await lab.stopAgent(name, "SIGTERM");
        await lab.client.delete(resources.Node, { name });
        // As a new machine: it remembers nothing.
        await rm(join(lab.dir, name), { recursive: true, force: true });
        const before = await holderOf(lab, vip, (node) => node !== name);
        await sleep(500);
        await probe.start();
        await lab.client.create(resources.Node, { metadata: { name: metadata.name }, spec });
        await lab.client.patch(
          resources.Node,
          { name },
          { type: "merge", body: { status: status ?? {} } },
          { subresource: "status" },
        );
        await lab.startAgent(name);
        await takesPart(lab, name);
        await sleep(1_000);
        const one = await probe.stop();
        seen.push(one);
        if (one.answers.join() !== before) moved++;
      }
      const sum = (pick: (one: Recording) => number) => seen.reduce((all, one) => all + pick(one), 0);
      tell({
        name: `vrrp, a node added ${runs} times, samples that two answered`,
        value: sum(({ dual }) => dual),
        unit: "",
        goal: { most: 0 },
      });
      tell({ name: "vrrp, a node added, times the address moved", value: moved, unit: "", goal: { most: 0 } });
    } finally {
      await lab.close();
    }
  },
};

async function takesPart(lab: VipLab, node: string): Promise<void> {
  const runs = () =>
    access(join(lab.dir, node, "vrrp.pid")).then(
      () => true,
      () => false,
    );
  for (let tries = 0; !(await runs()); tries++) {
    if (tries > 600) throw new Error(`${node} does not take part: ${await lab.log(node)}`);
    await sleep(100);
  }
}
