import { heldByNode, openVipLab, sleep } from "../../../test/support/vip-lab.ts";
import type { Part } from "./part.ts";

const addresses = 200;
const nodes = 5;

/** 200 addresses on 5 nodes: how evenly, and whether a dead node's go to all others. */
export const spread: Part = {
  name: "spread",
  async run(tell) {
    const lab = await openVipLab({ nodes, addresses: ["10.9.1.0-10.9.1.255"] });
    const held = () => heldByNode(lab);
    const share = addresses / nodes;
    const unevenness = (now: ReadonlyMap<string, readonly string[]>) =>
      Math.max(...[...now.values()].map((list) => Math.abs(list.length - share) / share)) * 100;
    try {
      for (const node of lab.nodes) await lab.startAgent(node);
      await Promise.all(Array.from({ length: addresses }, (_, i) => lab.expose(`web-${i}`)));
      let now = await held();
      /** Addresses that not exactly one node has; while one moves, two looks at two nodes may miss it. */
      const strays = () => {
        const all = [...now.values()].flat();
        return addresses - new Set(all).size + (all.length - new Set(all).size);
      };
      // Load moves a few addresses at a time, and first waits 15 s: it is over when looks are the same for longer.
      const settled = async () => {
        for (let same = 0, tries = 0; same < 10 && tries < 120; tries++) {
          await sleep(2_000);
          const before = JSON.stringify([...now]);
          now = await held();
          same = strays() === 0 && JSON.stringify([...now]) === before ? same + 1 : 0;
        }
      };
      await settled();
      const goal = { most: 20 };
      const name = `vrrp, ${addresses} addresses on ${nodes} nodes`;
      tell({ name: `${name}, off the even share`, value: unevenness(now), unit: "%", goal });
      tell({ name: `${name}, held by none or by two`, value: strays(), unit: "", goal: { most: 0 } });
      const [dead = ""] = lab.nodes;
      const left = new Set(now.get(dead));
      await lab.isolate(dead);
      const others = lab.nodes.filter((node) => node !== dead);
      const heirs = async () => {
        now = await held();
        return others.map((node) => (now.get(node) ?? []).filter((address) => left.has(address)).length);
      };
      let counts = await heirs();
      for (let tries = 0; counts.reduce((a, b) => a + b, 0) < left.size && tries < 100; tries++) {
        await sleep(200);
        counts = await heirs();
      }
      tell({
        name: "vrrp, a node of five dies, others without any of its addresses",
        value: counts.filter((count) => count === 0).length,
        unit: "",
        goal: { most: 0 },
      });
      tell({
        name: "vrrp, a node of five dies, addresses that nobody took",
        value: left.size - counts.reduce((a, b) => a + b, 0),
        unit: "",
        goal: { most: 0 },
      });
      // The heirs hold more than a fifth now. That is no reason to move anything.
      const heldBy = new Map(others.flatMap((node) => (now.get(node) ?? []).map((address) => [address, node])));
      await sleep(30_000);
      now = await held();
      const moved = others.flatMap((node) => (now.get(node) ?? []).filter((address) => heldBy.get(address) !== node));
      tell({
        name: "vrrp, a node of five dies, addresses that move in the 30 s after",
        value: moved.length,
        unit: "",
        goal: { most: 0 },
      });
    } finally {
      await lab.close();
    }
  },
};
