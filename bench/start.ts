// How fast a cluster starts and how much it holds: `npm run bench:start [-- --json] [--runs N]`.
//   API answering:    from `fairlead up` until GET /readyz is answered with 200, on an empty directory and on a used one
//   first 200:        from `fairlead up -f` of a Deployment, a Service and an Ingress until the Ingress answers with 200
//   resident memory:  of Fairlead and everything it has started, idle, without the pods' own processes
// The baseline is a bare Node.js HTTPS server in the same run: what no program on this platform can go below.
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Lab, noKernel, openLab, repository, type Running } from "../test/support/lab.ts";

const json = process.argv.includes("--json");
const runs = Number(process.argv[process.argv.indexOf("--runs") + 1] || 3) || 3;

interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline: number;
}

const report = ({ name, value, unit, baseline }: Figure): void => {
  const round = (number: number) => Math.round(number * 100) / 100;
  const ratio = round(value / baseline);
  if (json) console.log(JSON.stringify({ name, value: round(value), unit, baseline: round(baseline), ratio }));
  else
    console.log(
      `${name.padEnd(34)} ${String(round(value)).padStart(9)} ${unit}   (bare Node.js ${round(baseline)} ${unit}, x${ratio})`,
    );
};

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** Runs in the lab: asks until the answer is 200, then prints the time of day in milliseconds. */
const asker = `
const [scheme, port, path, host] = process.argv.slice(1);
const { get } = require("node:" + scheme);
const again = () => setTimeout(ask, 5);
function ask() {
  get({ host: "127.0.0.1", port, path, headers: { host }, rejectUnauthorized: false, agent: false }, (response) => {
    response.resume();
    if (response.statusCode === 200) response.on("end", () => { console.log(Date.now()); process.exit(0); });
    else again();
  }).on("error", again);
}
setTimeout(() => process.exit(1), 60000);
ask();`;

/** Milliseconds from the start of \`program\` until the URL answers with 200. The program goes on. */
async function timeUntil(
  lab: Lab,
  start: () => Running,
  question: readonly [scheme: "https" | "http", port: number, path: string, host: string],
): Promise<{ milliseconds: number; program: Running }> {
  const answered = lab.run(process.execPath, ["-e", asker, ...question.map(String)]);
  // The asker must be asking before the clock starts.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const began = Date.now();
  const program = start();
  const { code, stdout } = await answered;
  if (code !== 0) throw new Error(`no answer on ${question.join(" ")}: ${program.output()}`);
  return { milliseconds: Number(stdout) - began, program };
}

const up = (lab: Lab, dir: string, ...args: string[]) =>
  lab.start(process.execPath, [
    join(repository, "fairlead"),
    "up",
    "--dir",
    dir,
    "--http-port",
    "8080",
    "--https-port",
    "8443",
    ...args,
  ]);

const down = async (lab: Lab, dir: string) => {
  await lab.run(process.execPath, [join(repository, "fairlead"), "down", "--dir", dir, "--delete"]);
};

/** Resident bytes of the processes that belong to a cluster directory: those that name it in their arguments. */
async function residentMegabytes(dir: string): Promise<number> {
  let kilobytes = 0;
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (!command.includes(dir) || command.includes("echo/main.js")) continue;
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    kilobytes += Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  }
  return kilobytes / 1024;
}

const manifest = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 1
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - { name: echo, image: fairlead.dev/echo, ports: [{ containerPort: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 8080 }] }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web }
spec:
  ingressClassName: fairlead
  rules:
    - host: web.example.test
      http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: web, port: { number: 8080 } } } }] }
`;

/** A bare HTTPS server: its certificate is that of the cluster, so that both do the same handshake. */
const bareServer = (pki: string) => `
const { readFileSync } = require("node:fs");
require("node:https").createServer({ key: readFileSync("${pki}/apiserver.key"), cert: readFileSync("${pki}/apiserver.crt") },
  (request, response) => response.end("ok")).listen(6444, "127.0.0.1");`;

const lab = await openLab(noKernel ? "unprivileged" : "root");
try {
  const dir = join(lab.dir, "cluster");
  const fresh: number[] = [];
  const used: number[] = [];
  const first: number[] = [];
  const bare: number[] = [];
  let resident = 0;
  let bareResident = 0;
  await mkdir(join(lab.dir, "app"));
  await writeFile(join(lab.dir, "app", "web.yaml"), manifest);

  for (let run = 0; run < runs; run++) {
    const one = await timeUntil(lab, () => up(lab, dir), ["https", 6443, "/readyz", "localhost"]);
    fresh.push(one.milliseconds);
    if (run === 0) {
      await new Promise((resolve) => setTimeout(resolve, 30_000));
      resident = await residentMegabytes(dir);
      const pki = join(lab.dir, "pki");
      await mkdir(pki);
      for (const name of ["apiserver.key", "apiserver.crt"])
        await writeFile(join(pki, name), await readFile(join(dir, "pki", name)));
    }
    await one.program.stop();
    const two = await timeUntil(lab, () => up(lab, dir), ["https", 6443, "/readyz", "localhost"]);
    used.push(two.milliseconds);
    await two.program.stop();
    await down(lab, dir);

    const three = await timeUntil(lab, () => up(lab, dir, "-f", join(lab.dir, "app")), [
      "http",
      8080,
      "/",
      "web.example.test",
    ]);
    first.push(three.milliseconds);
    await three.program.stop();
    await down(lab, dir);

    const four = await timeUntil(
      lab,
      () => lab.start(process.execPath, ["-e", bareServer(join(lab.dir, "pki")), lab.dir + "/bare"]),
      ["https", 6444, "/", "localhost"],
    );
    bare.push(four.milliseconds);
    if (run === 0) bareResident = await residentMegabytes(lab.dir + "/bare");
    await four.program.stop();
  }
  const baseline = median(bare);
  report({ name: "API answering, first start", value: median(fresh), unit: "ms", baseline });
  report({ name: "API answering, later start", value: median(used), unit: "ms", baseline });
  report({ name: "first 200 through the Ingress", value: median(first), unit: "ms", baseline });
  report({ name: "resident memory, idle", value: resident, unit: "MB", baseline: bareResident });
} finally {
  await lab.close();
}
