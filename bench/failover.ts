// How long an address is away when something happens to the node that holds it: `npm run bench:failover [-- --json] [--runs N] [--only NAME]`.
// Three nodes, a client and an API server in network namespaces; the client sends a datagram every 5 ms and the time from the first one
// that is lost to the first that is answered again is the gap.
//   isolated:  the holder is cut off the network                                    drain:   the holder is cordoned
//   stop:      `fairlead vip` on the holder is ended                                killed:  keepalived on the holder gets SIGKILL
// The baseline, in the same run and the same namespaces, is keepalived by itself with adverts every second, as it is usually set up.
// `dual` counts samples that two nodes answered; `left` is the time until the address was off a node whose keepalived was killed.
import { type ChildProcess } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { resources } from "../src/kube/index.ts";
import {
  holderOf,
  nodeAddress,
  noVipLab,
  openVipLab,
  type Probe,
  type Recording,
  sleep,
  type VipLab,
} from "../test/support/vip-lab.ts";

const json = process.argv.includes("--json");
const valueOf = (flag: string) =>
  process.argv.includes(flag) ? process.argv[process.argv.indexOf(flag) + 1] : undefined;
const runs = Number(valueOf("--runs") ?? 20) || 20;
const only = valueOf("--only");

interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline?: number;
  /** What it may be at most. */
  readonly goal?: number;
}

function report({ name, value, unit, baseline, goal }: Figure): void {
  const round = (number: number) => Math.round(number * 100) / 100;
  const ratio = baseline === undefined || baseline === 0 ? undefined : round(value / baseline);
  const met = goal === undefined ? undefined : value <= goal;
  if (json)
    console.log(
      JSON.stringify({ name, value: round(value), unit, goal, met, baseline: baseline && round(baseline), ratio }),
    );
  else {
    const asked = goal === undefined ? "" : `   goal ${goal}: ${met ? "met" : "NOT met"}`;
    const beside = baseline === undefined ? "" : `   (baseline ${round(baseline)} ${unit})`;
    console.log(`${name.padEnd(36)} ${String(round(value)).padStart(9)} ${unit}${asked}${beside}`);
  }
}

const percentile = (values: readonly number[], part: number): number =>
  values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(values.length * part) - 1)] ?? Number.NaN;

interface Kind {
  readonly name: string;
  /** Milliseconds that 95 of 100 gaps may last. */
  readonly goal?: number;
  /** What happens; answers how to put it right, and for a killed daemon the milliseconds until its address was gone. */
  readonly act: (lab: VipLab, holder: string, vip: string) => Promise<{ undo: () => Promise<void>; left?: number }>;
}

const kinds: readonly Kind[] = [
  {
    name: "isolated",
    goal: 500,
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

async function measure(lab: VipLab, kind: Kind, probe: Probe, vip: string, settled: () => Promise<string>) {
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

async function main(): Promise<void> {
  if (noVipLab) {
    console.error(`bench: failover ${noVipLab}`);
    process.exitCode = 1;
    return;
  }
  const lab = await openVipLab({ nodes: 3, addresses: ["10.9.0.100-10.9.0.119"] });
  try {
    const plainVip = "10.9.0.150";
    const plain = await plainKeepalived(lab, plainVip);
    const oneHolder = async (address: string) => {
      for (;;) {
        const holders = await lab.holders(address);
        if (holders.length === 1 && holders[0]) return holders[0];
        await sleep(50);
      }
    };
    const isolated = kinds[0] as Kind;
    const baseline = await measure(lab, isolated, await lab.probe(plainVip), plainVip, async () => {
      // The one that was cut off has to have heard that it is no longer master.
      await sleep(1_500);
      return oneHolder(plainVip);
    });
    await plain.end();
    const base = percentile(
      baseline.map(({ gap }) => gap),
      0.95,
    );

    for (const node of lab.nodes) await lab.startAgent(node);
    const vip = await lab.expose("web");
    await holderOf(lab, vip);
    const probe = await lab.probe(vip);
    for (const kind of kinds) {
      if (only !== undefined && kind.name !== only) continue;
      const seen = await measure(lab, kind, probe, vip, async () => {
        const holder = await holderOf(lab, vip);
        await sleep(500);
        return holder;
      });
      const gaps = seen.map(({ gap }) => gap);
      report({ name: `vrrp ${kind.name}, gap p50`, value: percentile(gaps, 0.5), unit: "ms", baseline: base });
      report({
        name: `vrrp ${kind.name}, gap p95`,
        value: percentile(gaps, 0.95),
        unit: "ms",
        baseline: base,
        ...(kind.goal === undefined ? {} : { goal: kind.goal }),
      });
      report({ name: `vrrp ${kind.name}, gap max`, value: percentile(gaps, 1), unit: "ms", baseline: base });
      report({
        name: `vrrp ${kind.name}, dual samples`,
        value: seen.reduce((sum, { dual }) => sum + dual, 0),
        unit: "of all",
        ...(kind.name === "isolated" ? {} : { goal: 0 }),
      });
      report({
        name: `vrrp ${kind.name}, probe's own stall`,
        value: percentile(
          seen.map(({ stall }) => stall),
          1,
        ),
        unit: "ms",
      });
      const lefts = seen.flatMap(({ left }) => left ?? []);
      if (lefts.length > 0)
        report({ name: `vrrp ${kind.name}, address left, max`, value: percentile(lefts, 1), unit: "ms", goal: 1_000 });
    }
    report({ name: "keepalived 1 s, isolated, gap p95", value: base, unit: "ms" });
  } finally {
    await lab.close();
  }
}

await main();
