// Sends a datagram every few milliseconds to an address, by the way that the network knows and to each node by itself, and keeps who answered.
// Usage: node vip-probe.mjs ADDRESS PORT PAUSE SOURCE [NODE-SOURCE...]: packets from a NODE-SOURCE are routed to that node whoever has the
// address. "start" on standard input begins a recording; "stop" ends it and prints one line of JSON:
// { sent, lost, gap, dual, stall, answers }: gap is the longest time in milliseconds from the first probe that was lost to the first
// that was answered again; dual counts samples that two nodes answered by themselves; stall is the longest pause of this program itself.
import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";

const [address = "", port = "0", pause = "5", ...sources] = process.argv.slice(2);
const patience = 1000;
let samples = [];
let recording = false;
let last = 0;
let stall = 0;
const sockets = sources.map((source, way) => {
  const socket = createSocket(source.includes(":") ? "udp6" : "udp4");
  socket.on("error", () => {});
  socket.on("message", (message) => {
    const [name, number] = String(message).split(" ");
    const sample = samples[Number(number)];
    if (!sample) return;
    if (way === 0) sample.answer = name;
    else sample.direct.push(name);
  });
  socket.bind(0, source);
  return socket;
});

function probe() {
  const now = performance.now();
  if (recording) {
    const number = samples.length;
    if (number > 0) stall = Math.max(stall, now - last);
    samples.push({ at: now, answer: undefined, direct: [] });
    for (const socket of sockets) socket.send(String(number), Number(port), address);
  }
  last = now;
}
setInterval(probe, Number(pause));

function report() {
  let gap = 0;
  let from;
  let lost = 0;
  const answers = [];
  for (const { at, answer } of samples) {
    if (answer === undefined) {
      lost += 1;
      from ??= at;
      continue;
    }
    if (from !== undefined) gap = Math.max(gap, at - from);
    from = undefined;
    if (answers.at(-1) !== answer) answers.push(answer);
  }
  // Still lost at the end: it never came back.
  if (from !== undefined) gap = Math.max(gap, (samples.at(-1)?.at ?? from) - from);
  const dual = samples.filter(({ direct }) => new Set(direct).size > 1).length;
  return { sent: samples.length, lost, gap, dual, stall, answers };
}

createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "start") {
    samples = [];
    stall = 0;
    recording = true;
    process.stdout.write("started\n");
  } else if (line === "stop") {
    recording = false;
    // Answers that are on their way still count.
    setTimeout(() => process.stdout.write(`${JSON.stringify(report())}\n`), Math.min(patience, 100));
  }
});
process.stdin.on("end", () => process.exit(0));
process.stdout.write("ready\n");
