// What happens to the node that holds an address, each by itself:
//   isolated:  the holder is cut off the network                                    drain:   the holder is cordoned
//   stop:      `fairlead vip` on the holder is ended                                killed:  keepalived on the holder gets SIGKILL
import { type ChildProcess } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { resources } from "../../../src/kube/index.ts";
import {
  holderOf,
  nodeAddress,
  openVipLab,
  type Probe,
  type Recording,
  sleep,
  type VipLab,
} from "../../../test/support/vip-lab.ts";

import type { Figure } from "../report.ts";
import { percentile, type Part } from "./part.ts";

interface Kind {
  readonly name: string;
  /** Milliseconds that 95 of 100 gaps may last. */
  readonly goal?: number;
  /** Measured for keepalived by itself too. */
  readonly isPlain?: boolean;
  /** What happens; answers how to put it right, and for a killed daemon the milliseconds until its address was gone. */
  readonly act: (lab: VipLab, holder: string, vip: string) => Promise<{ undo: () => Promise<void>; left?: number }>;
}

const kinds: readonly Kind[] = [
  {
    name: "isolated",
    goal: 500,
    isPlain: true,
    async act(lab, holder) {
      await lab.isolate(holder);
      return { undo: () => lab.rejoin(holder) };
    },
  },
  {
    name: "drain",
    goal: 100,
    async act(lab, holder) {
      const cordon = (value: boolean | null) =>
        lab.client.patch(resources.Node, { name: holder }, { type: "merge", body: { spec: { unschedulable: value } } });
      await cordon(true);
      return { undo: async () => void (await cordon(null)) };
    },
  },
  {
    name: "stop",
    goal: 100,
    async act(lab, holder) {
      await lab.stopAgent(holder, "SIGTERM");
      return {
        async undo() {
          await lab.startAgent(holder);
          await sleep(2_000);
        },
      };
    },
  },
  {
    name: "killed",
    async act(lab, holder, vip) {
      // The kernel's own time: to ask again and again would measure how long asking takes.
      const monitor = lab.startOn(holder, "ip", "-ts", "monitor", "address");
      const gone = new Promise<number>((resolve) => {
        let text = "";
        monitor.stdout?.on("data", (chunk: Buffer) => {
          text += String(chunk);
          const line = text.split("\n").find((one) => one.includes("Deleted") && one.includes(` ${vip}/`));
          const stamp = line && /\[([0-9T:.-]+)\]/.exec(line)?.[1];
          if (stamp) resolve(Date.parse(`${stamp}Z`) + new Date().getTimezoneOffset() * 60_000);
        });
      });
      await sleep(200);
      const began = Date.now();
      await lab.killDaemon(holder, "child");
      const left = (await gone) - began;
      monitor.kill("SIGKILL");
      return { left, undo: () => sleep(2_000) };
    },
  },
];

/** One event, recorded until another node answers. */
async function once(
  lab: VipLab,
  probe: Probe,
  vip: string,
  holder: string,
  kind: Kind,
): Promise<Recording & { left?: number }> {
  await probe.start();
  await sleep(150);
  const { undo, left } = await kind.act(lab, holder, vip);
  for (let tries = 0; ; tries++) {
    const others = (await lab.holders(vip)).filter((node) => node !== holder);
    if (others.length > 0) break;
    if (tries > 2_000) throw new Error(`${kind.name}: nobody took over from ${holder}`);
    await sleep(10);
  }
  await sleep(300);
  const seen = await probe.stop();
  await undo();
  return { ...seen, ...(left === undefined ? {} : { left }) };
}

async function measure(
  lab: VipLab,
  kind: Kind,
  probe: Probe,
  vip: string,
  { runs, settled }: { runs: number; settled: () => Promise<string> },
) {
  const seen: (Recording & { left?: number })[] = [];
  for (let run = 0; run < runs; run++) seen.push(await once(lab, probe, vip, await settled(), kind));
  return seen;
}

/** keepalived by itself on each node, with the settings that guides show. */
async function plainKeepalived(lab: VipLab, vip: string) {
  const children = new Map<string, ChildProcess>();
  const pidFile = (node: string) => join(lab.dir, `plain-${node}.pid`);
  for (const [i, node] of lab.nodes.entries()) {
    const peers = lab.nodes.filter((other) => other !== node).map((other) => `    ${nodeAddress(other)}`);
    const config = [
      "global_defs {\n  vrrp_version 3\n}",
      "vrrp_instance plain {\n  state BACKUP\n  nopreempt\n  interface eth0\n  virtual_router_id 99\n  advert_int 1",
      `  priority ${100 + i}\n  unicast_src_ip ${nodeAddress(node)}\n  unicast_peer {\n${peers.join("\n")}\n  }`,
      `  virtual_ipaddress {\n    ${vip}/32 dev eth0\n  }\n}\n`,
    ].join("\n");
    const file = join(lab.dir, `plain-${node}.conf`);
    await mkdir(lab.dir, { recursive: true });
    await writeFile(file, config);
    const args = ["-n", "-P", "-l", "-G", "-f", file, "-p", pidFile(node), "-r", `${pidFile(node)}.vrrp`];
    children.set(node, lab.startOn(node, "keepalived", ...args));
  }
  return {
    async end() {
      for (const child of children.values()) child.kill("SIGTERM");
      await sleep(1_000);
    },
  };
}

/** Something happens to the node that holds an address; beside keepalived by itself with adverts every second, as it is usually set up. */
export const events: readonly Part[] = kinds.map((kind) => ({
  name: kind.name,
  run: (tell, runs) => withLab(async (lab) => measureEvent(lab, kind, tell, runs)),
}));

async function withLab(work: (lab: VipLab) => Promise<void>): Promise<void> {
  const lab = await openVipLab({ nodes: 3, addresses: ["10.9.0.100-10.9.0.119"] });
  try {
    await work(lab);
  } finally {
    await lab.close();
  }
}

async function plainGap(lab: VipLab, kind: Kind, runs: number): Promise<number> {
  const vip = "10.9.0.150";
  const plain = await plainKeepalived(lab, vip);
  const oneHolder = async () => {
    for (;;) {
      const [holder, ...others] = await lab.holders(vip);
      if (holder !== undefined && others.length === 0) return holder;
      await sleep(50);
    }
  };
  const settled = async () => {
    // The one that was cut off has to have heard that it is no longer master.
    await sleep(1_500);
    return oneHolder();
  };
  const seen = await measure(lab, kind, await lab.probe(vip), vip, { runs: Math.ceil(runs / 4), settled });
  await plain.end();
  return percentile(
    seen.map(({ gap }) => gap),
    0.95,
  );
}

async function measureEvent(lab: VipLab, kind: Kind, tell: (figure: Figure) => void, runs: number): Promise<void> {
  const baseline = kind.isPlain ? await plainGap(lab, kind, runs) : undefined;
  for (const node of lab.nodes) await lab.startAgent(node);
  const vip = await lab.expose("web");
  await holderOf(lab, vip);
  const settled = async () => {
    const holder = await holderOf(lab, vip);
    await sleep(500);
    return holder;
  };
  const seen = await measure(lab, kind, await lab.probe(vip), vip, { runs, settled });
  const gaps = seen.map(({ gap }) => gap);
  const beside = baseline === undefined ? {} : { baseline, against: "keepalived 1 s" };
  const name = `vrrp ${kind.name}`;
  tell({ name: `${name}, gap p50`, value: percentile(gaps, 0.5), unit: "ms", ...beside });
  const goal = kind.goal === undefined ? {} : { goal: { most: kind.goal } };
  tell({ name: `${name}, gap p95 of ${runs}`, value: percentile(gaps, 0.95), unit: "ms", ...beside, ...goal });
  tell({ name: `${name}, gap max`, value: percentile(gaps, 1), unit: "ms", ...beside });
  // A node that is cut off does not know it yet: its own clients may still reach it.
  const two = seen.reduce((sum, { dual }) => sum + dual, 0);
  tell({
    name: `${name}, samples that two answered`,
    value: two,
    unit: "",
    ...(kind.name === "isolated" ? {} : { goal: { most: 0 } }),
  });
  const stalls = seen.map(({ stall }) => stall);
  tell({ name: `${name}, the probe's own stall, max`, value: percentile(stalls, 1), unit: "ms" });
  const lefts = seen.flatMap(({ left }) => left ?? []);
  if (lefts.length > 0)
    tell({ name: `${name}, address gone after, max`, value: percentile(lefts, 1), unit: "ms", goal: { most: 1_000 } });
}
