// Runs in a lab: sends a steady load of GETs and prints what came of them as JSON on one line.
// Usage: node load.mjs '{"url":"http://…", "host":"…", "rate":200, "seconds":10}'   or   {"url":…, "count":300}
// Each request has a connection of its own unless "keepAlive" is true. SIGTERM ends it early.
import { Agent, get } from "node:http";

const { url, host, rate = 0, seconds = 0, count = 0, keepAlive = false } = JSON.parse(process.argv[2]);
const agent = new Agent({ keepAlive, maxSockets: keepAlive ? 50 : Infinity });
const result = { sent: 0, ok: 0, byPod: {}, failures: [] };

function once() {
  result.sent++;
  const started = Date.now();
  return new Promise((resolve) => {
    const fail = (why) => {
      if (result.failures.length < 20) result.failures.push({ at: started, why, after: Date.now() - started });
      resolve();
    };
    const request = get(url, { agent, timeout: 10_000, headers: host ? { host } : {} }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", (error) => fail(error.message));
      response.on("end", () => {
        if (response.statusCode !== 200) return fail(`status ${response.statusCode}`);
        const { pod = "" } = JSON.parse(Buffer.concat(chunks).toString());
        result.ok++;
        result.byPod[pod] = (result.byPod[pod] ?? 0) + 1;
        resolve();
      });
    });
    request.on("timeout", () => request.destroy(new Error("no answer within 10 s")));
    request.on("error", (error) => fail(error.message));
  });
}

if (count > 0) {
  for (let i = 0; i < count; i++) await once();
} else {
  let ended = false;
  process.once("SIGTERM", () => (ended = true));
  const start = Date.now();
  const pending = new Set();
  while (!ended && Date.now() - start < seconds * 1000) {
    // As many as are due by now: a slow moment is made up for, so that the rate is kept.
    const due = Math.floor(((Date.now() - start) * rate) / 1000);
    while (result.sent < due) {
      const one = once().finally(() => pending.delete(one));
      pending.add(one);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await Promise.all(pending);
}
agent.destroy();
process.stdout.write(`${JSON.stringify(result)}\n`);
