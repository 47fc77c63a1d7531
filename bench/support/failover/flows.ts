import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { addressPools, type SpeakerName } from "../../../src/loadbalancer/index.ts";
import {
  asn,
  openBgpLab,
  routerAddress,
  until,
  type BgpLab,
  type FlowRecording,
} from "../../../test/support/bgp-lab.ts";
import { nodeAddress, sleep } from "../../../test/support/vip-lab.ts";

import { percentile, type Part } from "./part.ts";

const flows = 32;
const nodes = 4;

async function spread(lab: BgpLab, address: string, over: readonly string[]): Promise<void> {
  const wanted = over.map(nodeAddress).sort().join();
  await until(
    lab,
    `the router spreads over ${wanted}`,
    async () => (await lab.nextHops(address)).join() === wanted,
    () => lab.nextHops(address),
  );
}

interface Run extends FlowRecording {
  /** Flows that the node had before it was cut off. */
  readonly share: number;
}

async function measure(lab: BgpLab, address: string, times: number): Promise<Run[]> {
  const probe = await lab.flows(address, flows);
  const seen: Run[] = [];
  for (let run = 0; run < times; run++) {
    const node = lab.nodes[run % lab.nodes.length] ?? "";
    await spread(lab, address, lab.nodes);
    await sleep(500);
    await probe.start();
    await sleep(100);
    const share = (await probe.stop()).answers[node] ?? 0;
    await probe.start();
    await sleep(150);
    await lab.isolate(node);
    await spread(
      lab,
      address,
      lab.nodes.filter((one) => one !== node),
    );
    await sleep(300);
    seen.push({ ...(await probe.stop()), share });
    await lab.rejoin(node);
  }
  return seen;
}

/** BIRD by itself on each node, announcing one address. */
async function plainBird(lab: BgpLab, address: string) {
  const ended: (() => void)[] = [];
  for (const node of lab.nodes) {
    const file = join(lab.dir, `plain-${node}.conf`);
    await writeFile(
      file,
      `router id ${nodeAddress(node)};
protocol device { }
protocol static { ipv4; route ${address}/32 blackhole; }
protocol bgp { local ${nodeAddress(node)} as ${asn.nodes}; neighbor ${routerAddress} as ${asn.router}; hold time 9; connect retry time 1; connect delay time 1;
  error wait time 1, 2; ipv4 { import none; export all; }; }\n`,
    );
    const child = lab.startOn(node, "bird", "-f", "-c", file, "-s", `${file}.ctl`, "-P", `${file}.pid`);
    ended.push(() => child.kill("SIGTERM"));
  }
  return () => {
    for (const end of ended) end();
  };
}

/**
 * A node that a router spreads connections over is cut off. Four nodes and a router with BIRD; a client behind the router keeps 32 flows of
 * datagrams, one each 5 ms. With the BFD of BGPPeer's defaults, beside BIRD by itself without BFD, with hold times of 9 s.
 * `speaker`: what the nodes speak BGP with.
 */
export const bgp = (speaker: SpeakerName): Part => ({
  name: "bgp",
  async run(tell, runs) {
    const title = speaker === "bird" ? "bgp with BFD" : `bgp by ${speaker} with BFD`;
    const lab = await openBgpLab({
      speaker,
      nodes,
      addresses: ["10.7.0.0/24"],
      session: "bfd on; hold time 9;",
      peer: { bfd: {}, holdTimeSeconds: 9 },
    });
    try {
      // Nodes that do not speak BFD: the router's side stays down and ends no session (RFC 5882, 4.1).
      const plain = "10.7.1.1";
      const endPlain = await plainBird(lab, plain);
      const before = await measure(lab, plain, Math.max(1, Math.ceil(runs / 8)));
      endPlain();
      await until(lab, "nothing is announced", async () => (await lab.nextHops(plain)).length === 0);
      for (const node of lab.nodes) await lab.startAgent(node);
      const seen = await measure(lab, await lab.expose("web"), runs);
      await lab.client.delete(addressPools, { name: "lab" });
      const of = (list: readonly Run[], part: number) =>
        percentile(
          list.map(({ gap }) => gap),
          part,
        );
      const beside = (part: number) => ({ baseline: of(before, part), against: "BIRD without BFD" });
      tell({ name: `${title}, gap p50`, value: of(seen, 0.5), unit: "ms", ...beside(0.5) });
      const goal = { goal: { most: 300 } };
      tell({ name: `${title}, gap p95 of ${runs}`, value: of(seen, 0.95), unit: "ms", ...beside(0.95), ...goal });
      tell({ name: `${title}, gap max`, value: of(seen, 1), unit: "ms", ...beside(1) });
      const most = (pick: (run: Run) => number) => Math.max(...seen.map(pick));
      tell({ name: `${title}, flows hit of ${flows}, max`, value: most(({ hit }) => hit), unit: "" });
      tell({
        name: `${title}, flows hit beyond the node's own`,
        value: most(({ hit, share }) => hit - share),
        unit: "",
        goal: { most: 0 },
      });
      tell({ name: `${title}, the probe's own stall, max`, value: most(({ stall }) => stall), unit: "ms" });
    } finally {
      await lab.close();
    }
  },
});
