// Keeps flows of datagrams to an address, each from a port of its own, and keeps who answered each. Usage: node bgp-probe.mjs ADDRESS PORT PAUSE FLOWS
// "start" on standard input begins a recording; "stop" ends it and prints one line of JSON: { flows, hit, gap, lost, stall, answers }: hit counts
// flows that lost more than one datagram on end; gap is the longest time in milliseconds from the first datagram of a flow that was lost to its
// first that was answered again; answers says how many flows ended at each node; stall is the longest pause of this program itself.
import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";

const [address = "", port = "0", pause = "5", count = "32"] = process.argv.slice(2);
let recording = false;
let last = 0;
let stall = 0;
const flows = Array.from({ length: Number(count) }, () => {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  const flow = { socket, samples: [] };
  socket.on("error", () => {});
  socket.on("message", (message) => {
    const [name, number] = String(message).split(" ");
    const sample = flow.samples[Number(number)];
    if (sample) sample.answer = name;
  });
  socket.bind(0);
  return flow;
});

setInterval(() => {
  const now = performance.now();
  if (recording) {
    if (last > 0) stall = Math.max(stall, now - last);
    for (const { socket, samples } of flows) {
      samples.push({ at: now, answer: undefined });
      socket.send(String(samples.length - 1), Number(port), address);
    }
  }
  last = now;
}, Number(pause));

function lookAt({ samples }) {
  let gap = 0;
  let lost = 0;
  let run = 0;
  let longest = 0;
  let from;
  for (const { at, answer } of samples) {
    if (answer === undefined) {
      lost += 1;
      longest = Math.max(longest, ++run);
      from ??= at;
      continue;
    }
    run = 0;
    if (from !== undefined) gap = Math.max(gap, at - from);
    from = undefined;
  }
  if (from !== undefined) gap = Math.max(gap, (samples.at(-1)?.at ?? from) - from);
  return { gap, lost, isHit: longest > 1, end: samples.findLast(({ answer }) => answer)?.answer ?? "nobody" };
}

createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "start") {
    for (const flow of flows) flow.samples = [];
    stall = 0;
    last = 0;
    recording = true;
    process.stdout.write("started\n");
  } else if (line === "stop") {
    recording = false;
    setTimeout(() => {
      const seen = flows.map(lookAt);
      const answers = {};
      for (const { end } of seen) answers[end] = (answers[end] ?? 0) + 1;
      const report = {
        flows: seen.length,
        hit: seen.filter(({ isHit }) => isHit).length,
        gap: Math.max(...seen.map(({ gap }) => gap)),
        lost: seen.reduce((sum, { lost }) => sum + lost, 0),
        stall,
        answers,
      };
      process.stdout.write(`${JSON.stringify(report)}\n`);
    }, 1000);
  }
});
process.stdin.on("end", () => process.exit(0));
process.stdout.write("ready\n");
