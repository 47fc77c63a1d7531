// How long flows are interrupted when a node that a router spreads them over is cut off: `npm run bench:failover-bgp [-- --json] [--runs N]`.
// Four nodes and a router with BIRD in network namespaces; a client behind the router keeps 32 flows of datagrams, one each 5 ms. A run cuts a node
// off; the gap is the longest time that a flow was without an answer, `hit` how many flows missed more than one. With the BFD of BGPPeer's defaults,
// and as the baseline in the same run and the same namespaces BIRD by itself without BFD, with hold times of 9 s (3 s is the least that RFC 4271 allows).
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { addressPools } from "../src/loadbalancer/index.ts";
import {
  asn,
  noBgpLab,
  openBgpLab,
  routerAddress,
  until,
  type BgpLab,
  type FlowRecording,
} from "../test/support/bgp-lab.ts";
import { nodeAddress, sleep } from "../test/support/vip-lab.ts";

const json = process.argv.includes("--json");
const valueOf = (flag: string) =>
  process.argv.includes(flag) ? process.argv[process.argv.indexOf(flag) + 1] : undefined;
const runs = Number(valueOf("--runs") ?? 20) || 20;
const baselineRuns = Math.max(1, Math.ceil(runs / 4));
const flows = 32;
const nodes = 4;

function report(name: string, value: number, unit: string, baseline?: number): void {
  const round = (number: number) => Math.round(number * 100) / 100;
  if (json) {
    const ratio = baseline ? round(value / baseline) : undefined;
    console.log(JSON.stringify({ name, value: round(value), unit, baseline: baseline && round(baseline), ratio }));
  } else {
    const beside = baseline === undefined ? "" : `   (baseline ${round(baseline)} ${unit})`;
    console.log(`${name.padEnd(36)} ${String(round(value)).padStart(9)} ${unit}${beside}`);
  }
}

const percentile = (values: readonly number[], part: number): number =>
  values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(values.length * part) - 1)] ?? Number.NaN;

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

async function main(): Promise<void> {
  if (noBgpLab) {
    console.error(`bench: failover by BGP ${noBgpLab}`);
    process.exitCode = 1;
    return;
  }
  const lab = await openBgpLab({
    nodes,
    addresses: ["10.7.0.0/24"],
    session: "bfd on; hold time 9;",
    peer: { bfd: {}, holdTimeSeconds: 9 },
  });
  try {
    // Nodes that do not speak BFD: the router's side stays down and ends no session (RFC 5882, 4.1).
    const plain = "10.7.1.1";
    const endPlain = await plainBird(lab, plain);
    const baseline = await measure(lab, plain, baselineRuns);
    endPlain();
    await until(lab, "nothing is announced", async () => (await lab.nextHops(plain)).length === 0);
    for (const node of lab.nodes) await lab.startAgent(node);
    const address = await lab.expose("web");
    const seen = await measure(lab, address, runs);
    await lab.client.delete(addressPools, { name: "lab" });
    const gaps = (list: readonly Run[]) => list.map(({ gap }) => gap);
    for (const [name, part] of [
      ["p50", 0.5],
      ["p95", 0.95],
      ["max", 1],
    ] as const) {
      report(`bgp with BFD, gap ${name}`, percentile(gaps(seen), part), "ms", percentile(gaps(baseline), part));
    }
    const most = (list: readonly Run[], pick: (run: Run) => number) => Math.max(...list.map(pick));
    report(
      `bgp with BFD, flows hit of ${flows}, max`,
      most(seen, ({ hit }) => hit),
      "flows",
      most(baseline, ({ hit }) => hit),
    );
    report(
      "bgp with BFD, flows of the node, max",
      most(seen, ({ share }) => share),
      "flows",
      most(baseline, ({ share }) => share),
    );
    report(
      "bgp with BFD, hit beyond its own, max",
      most(seen, ({ hit, share }) => hit - share),
      "flows",
    );
    report(
      "bgp with BFD, probe's own stall, max",
      most(seen, ({ stall }) => stall),
      "ms",
    );
  } finally {
    await lab.close();
  }
}

await main();
