// What runs in the client's network of `fairlead demo vip`: one GET on a connection of its own every few milliseconds, none of which waits for another.
// Usage: gap-probe.js URL HOST. "start" on standard input begins a recording; "stop" ends it and prints {sent, lost, gap} on one line: a request is lost when it
// is not answered with 200 within `patience`; gap is the longest time in milliseconds from the first that is lost to the next that is not.
import { request } from "node:http";
import { createInterface } from "node:readline";

const [url = "", host = ""] = process.argv.slice(2);
const pause = 10;
const patience = 500;

interface Sample {
  readonly at: number;
  isAnswered: boolean;
}
let samples: Sample[] = [];
let recording = false;

function send(sample: Sample): void {
  const outgoing = request(url, { agent: false, headers: { host }, timeout: patience }, (response) => {
    sample.isAnswered = response.statusCode === 200 && performance.now() - sample.at <= patience;
    response.resume();
  });
  const timer = setTimeout(() => outgoing.destroy(), patience);
  outgoing.on("error", () => {});
  outgoing.on("close", () => clearTimeout(timer));
  outgoing.end();
}

setInterval(() => {
  if (!recording) return;
  const sample = { at: performance.now(), isAnswered: false };
  samples.push(sample);
  send(sample);
}, pause);

function report(): string {
  let gap = 0;
  let from: number | undefined;
  for (const { at, isAnswered } of samples) {
    if (!isAnswered) from ??= at;
    else if (from !== undefined) {
      gap = Math.max(gap, at - from);
      from = undefined;
    }
  }
  if (from !== undefined) gap = Math.max(gap, (samples.at(-1)?.at ?? from) - from);
  const lost = samples.filter(({ isAnswered }) => !isAnswered).length;
  return JSON.stringify({ sent: samples.length, lost, gap });
}

createInterface({ input: process.stdin })
  .on("line", (line) => {
    if (line === "start") {
      samples = [];
      recording = true;
      process.stdout.write("started\n");
    } else if (line === "stop") {
      recording = false;
      setTimeout(() => process.stdout.write(`${report()}\n`), patience + 50);
    }
  })
  .on("close", () => process.exit(0));
process.stdout.write("ready\n");
