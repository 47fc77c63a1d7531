// What becomes of addresses when something happens to the nodes that hold them:
//   npm run bench:failover [-- --json] [--runs N] [--only NAME,NAME...] [--away SECONDS] [--bgp-speaker bird|frr]
// Nodes, a client and an API server in network namespaces; the client sends a datagram every 5 ms, and the time from the first one that is lost to
// the first that is answered again is the gap. Each figure with its goal; plain keepalived and BIRD without BFD in the same run.
//   isolated, drain, stop, killed:  the holder is cut off, cordoned, its `fairlead vip` ended, its keepalived killed
//   added:   a node joins                     away:    the API server is away for 300 s; beside the others, as nothing happens in it
//   spread:  200 addresses on 5 nodes         bgp:     a node of four that a router spreads flows over is cut off
import { createReport } from "./support/report.ts";
import { events } from "./support/failover/events.ts";
import { bgp } from "./support/failover/flows.ts";
import type { Part } from "./support/failover/part.ts";
import { spread } from "./support/failover/spread.ts";
import { added, away } from "./support/failover/stillness.ts";
import { speakerNames } from "../src/loadbalancer/index.ts";
import { noSpeaker } from "../test/support/bgp-lab.ts";

const valueOf = (flag: string) =>
  process.argv.includes(flag) ? process.argv[process.argv.indexOf(flag) + 1] : undefined;
const runs = Number(valueOf("--runs") ?? 20) || 20;
const beside = away(Number(valueOf("--away") ?? 300) || 300);
const wantedSpeaker = valueOf("--bgp-speaker") ?? "bird";
const speaker = speakerNames.find((name) => name === wantedSpeaker);
const parts: readonly Part[] = [...events, added, bgp(speaker ?? "bird"), spread];

async function main(): Promise<void> {
  const known = [...parts, beside].map(({ name }) => name);
  const only = valueOf("--only")?.split(",") ?? known;
  const wrong = only.find((name) => !known.includes(name));
  const without = speaker ? noSpeaker(speaker) : `knows no speaker ${wantedSpeaker}`;
  if (without !== undefined || wrong !== undefined) {
    console.error(`bench: failover ${without ?? `has no part ${wrong ?? ""}; there are: ${known.join(" ")}`}`);
    process.exitCode = 2;
    return;
  }
  const tell = createReport(process.argv.includes("--json"));
  // One that fails keeps the others from nothing, but is told.
  const measure = async (part: Part) => {
    if (!only.includes(part.name)) return;
    await part.run(tell, runs).catch((error: unknown) => {
      console.error(`bench: failover, ${part.name}: ${error instanceof Error ? error.message : String(error)}`);
      process.exitCode = 1;
    });
  };
  const still = measure(beside);
  for (const part of parts) await measure(part);
  await still;
}

await main();
