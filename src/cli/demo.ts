import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, Option } from "commander";
import { freePort, systemClock } from "../system/index.ts";
import { asking, bringUp, connect } from "./connect.ts";
import { runDetached } from "./detach.ts";
import { type ClusterDirectory, clusterDirectory } from "./directory.ts";
import { demoVipCommand } from "./demo-vip.ts";
import { exampleHosts, setStage, visitorImage } from "./demo/stage.ts";
import { type Outcome, tryWay, type Way, waysOf } from "./demo/ways.ts";
import { takeDown } from "./down.ts";
import { CliError } from "./errors.ts";
import { type OutputFormat, parseOutput, render } from "./output.ts";
import { type ClusterState, readState } from "./state.ts";

const defaultDir = join(".fairlead", "demo");

interface DemoOptions {
  readonly dir: string;
  readonly once?: boolean;
  readonly nodes: string;
  readonly rootless?: boolean;
  readonly proxyMode: string;
  readonly output: OutputFormat;
}

export function demoCommand(): Command {
  return new Command("demo")
    .description("Bring up a cluster with an example shop, and send real requests through every way of reaching it.")
    .option("--once", "verify, clean up and end: exit code 0 when every way answered")
    .option("--dir <dir>", "directory of the demo's cluster; it is removed at the end", defaultDir)
    .option("--nodes <n>", "number of nodes", "1")
    .option("--proxy-mode <mode>", "auto, nftables, iptables or userspace", "auto")
    .option("--rootless", "use nothing that needs root, even for root")
    .addOption(new Option("-o, --output <format>", "table, json or yaml").default("table").argParser(parseOutput))
    .addHelpText(
      "after",
      `
Each row is a request that was really sent: how, where to, what came back, which pod answered, and how long it took.
Without --once the cluster stays up for you to try things; Ctrl-C removes it.

Examples:
  fairlead demo
  fairlead demo --once
  fairlead demo --once --nodes 3 -o json
  fairlead demo vip                     an address that survives its node`,
    )
    .addCommand(demoVipCommand())
    .action(demo);
}

const packageRoot = fileURLToPath(new URL("../..", import.meta.url));
const tell = (line: string) => void process.stderr.write(`${line}\n`);

async function demo(options: DemoOptions): Promise<void> {
  const directory = clusterDirectory(options.dir);
  await clear(directory);
  // However this ends, nothing is left behind.
  const interrupted = untilInterrupted();
  try {
    const failures = await Promise.race([show(directory, options), interrupted.then(() => undefined)]);
    if (!failures) throw new CliError("FAILED", "interrupted before every way was tried");
    if (failures.length > 0) {
      const which = failures.map(({ how, url, failure }) => `${how} ${url}: ${failure}`).join("; ");
      throw new CliError("FAILED", `${failures.length} ways failed: ${which}`, `see ${directory.log}`);
    }
    if (!options.once) await stay(interrupted);
  } finally {
    tell("cleaning up");
    await clear(directory);
  }
}

/** Brings the example up and goes every way. Answers those that failed. */
async function show(directory: ClusterDirectory, options: DemoOptions): Promise<Outcome[]> {
  // Of what `up` has to say at its end the first line is enough: the demo goes on by itself.
  const done = (text: string) => tell(text.split("\n")[0] ?? "");
  await runDetached(directory, await upArguments(directory, options), { line: tell, done });
  const state = await readState(directory);
  if (!state) throw new CliError("FAILED", "the cluster has not said how it runs", `see ${directory.log}`);
  const client = await connect(directory);
  const stage = await asking(bringUp(directory), () =>
    setStage({
      client,
      directory,
      state,
      tell,
      manifests: relative(process.cwd(), join(packageRoot, "examples/shop")),
      clock: systemClock,
    }),
  );
  const ways = waysOf(stage);
  const outcomes: Outcome[] = [];
  const print = rowPrinter(ways);
  if (options.output === "table") print.header();
  for (const way of ways) {
    const outcome = await patiently(way);
    outcomes.push(outcome);
    if (options.output === "table") print.row(outcome);
  }
  const failed = outcomes.filter(({ failure }) => failure !== undefined);
  if (options.output !== "table") process.stdout.write(await render(outcomes, options.output));
  else process.stdout.write(`${ways.length - failed.length} of ${ways.length} ways answered.\n`);
  if (!options.once) tell(whatNext(directory, state, ways));
  return failed;
}

async function upArguments(directory: ClusterDirectory, options: DemoOptions): Promise<string[]> {
  const visitor = fileURLToPath(new URL("./demo/visitor.js", import.meta.url));
  const ports = [
    "--api-port",
    String(await freePort([6443, 16443])),
    "--http-port",
    String(await freePort([80, 8080, 18080])),
    "--https-port",
    String(await freePort([443, 8443, 18443])),
  ];
  return [
    "up",
    "--report-to-parent",
    "--dir",
    directory.root,
    ...ports,
    "--nodes",
    options.nodes,
    "--proxy-mode",
    options.proxyMode,
    ...(options.rootless ? ["--rootless"] : []),
    "--image",
    `${visitorImage}="${process.execPath}" "${visitor}"`,
  ];
}

/** Milliseconds for which a way that fails is tried again: what was written last may take a moment to be in force. */
const patience = 10_000;

async function patiently(way: Way): Promise<Outcome> {
  const end = performance.now() + patience;
  for (;;) {
    const outcome = await tryWay(way, () => performance.now());
    if (outcome.failure === undefined || performance.now() > end) return outcome;
    await systemClock.sleep(200);
  }
}

/** Prints rows as they come: the widths are known beforehand. */
function rowPrinter(ways: readonly Way[]) {
  const width = (title: string, of: (way: Way) => string) => Math.max(title.length, ...ways.map((w) => of(w).length));
  const widths = [width("HOW", (w) => w.how), width("URL", (w) => w.url), 7, 9] as const;
  const write = (how: string, url: string, status: string, time: string, by: string) => {
    const cells = [
      how.padEnd(widths[0]),
      url.padEnd(widths[1]),
      status.padEnd(widths[2]),
      time.padStart(widths[3]),
      by,
    ];
    process.stdout.write(`${cells.join("  ").trimEnd()}\n`);
  };
  return {
    header: () => write("HOW", "URL", "STATUS", "TIME", "ANSWERED BY"),
    row: ({ how, url, status, milliseconds, by, failure }: Outcome) =>
      write(
        how,
        url,
        status,
        `${milliseconds.toFixed(1)} ms`,
        failure === undefined ? shortened(by) : `FAILED: ${failure}`,
      ),
  };
}

/** So much of a long answer as fits on a line. */
const shortened = (text: string) => (text.length > 60 ? `${text.slice(0, 59)}…` : text);

function whatNext(directory: ClusterDirectory, { ingress }: ClusterState, ways: readonly Way[]): string {
  const [host = ""] = exampleHosts;
  const fairlead = existsSync(join(packageRoot, "scripts")) ? "./fairlead" : "fairlead";
  const balancer = ways.find(({ how }) => how === "LoadBalancer")?.url;
  return [
    "The cluster stays up until Ctrl-C. In another terminal, try:",
    `  ${fairlead} status --dir ${directory.root}`,
    `  export KUBECONFIG=${directory.kubeconfig}`,
    "  kubectl get pods -n shop -o wide",
    `  curl ${balancer}`,
    `  curl --resolve ${host}:${ingress.httpPort}:${ingress.address} http://${host}:${ingress.httpPort}/catalog`,
    "  kubectl scale deployment/storefront -n shop --replicas=5",
    "  kubectl delete pod -n shop -l app=catalog",
  ].join("\n");
}

/** Takes down and removes whatever an earlier run, also one that was killed, has left. */
async function clear(directory: ClusterDirectory): Promise<void> {
  if (!existsSync(directory.root)) return;
  await takeDown(directory, tell);
  await rm(directory.root, { recursive: true, force: true, maxRetries: 5 });
}

/** Stays here until `end`: handlers of signals alone do not keep a process alive. */
async function stay(end: Promise<void>): Promise<void> {
  const alive = setInterval(() => {}, 60_000);
  await end;
  clearInterval(alive);
}

/** Settles at Ctrl-C; a second one ends the process at once. */
function untilInterrupted(): Promise<void> {
  return new Promise((resolve) => {
    let times = 0;
    for (const name of ["SIGINT", "SIGTERM"] as const) {
      process.on(name, () => {
        if (++times > 1) process.exit(130);
        resolve();
      });
    }
  });
}
