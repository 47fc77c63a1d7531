import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Command, Option } from "commander";
import { freePort, systemClock, systemCommands } from "../system/index.ts";
import { asking, bringUp, connect } from "./connect.ts";
import { type Failover, removeClient, setVipStage, vipNodes } from "./demo/vip.ts";
import { runDetached } from "./detach.ts";
import { type ClusterDirectory, clusterDirectory } from "./directory.ts";
import { takeDown } from "./down.ts";
import { CliError } from "./errors.ts";
import { type OutputFormat, parseOutput, render } from "./output.ts";

interface Options {
  readonly dir: string;
  readonly output: OutputFormat;
}

export function demoVipCommand(): Command {
  return new Command("vip")
    .description(
      "Show one address that survives its node: three nodes, an Ingress behind an address that one of them holds, and a client that never stops asking.",
    )
    .option("--dir <dir>", "directory of the demo's cluster; it is removed at the end", join(".fairlead", "demo-vip"))
    .addOption(new Option("-o, --output <format>", "table, json or yaml").default("table").argParser(parseOutput))
    .addHelpText(
      "after",
      `
The node that holds the address is cut off, then drained, then its keepalived is killed. Each row says how long the client was not answered. Needs root
and keepalived; everything is removed at the end.

Examples:
  fairlead demo vip
  fairlead demo vip -o json`,
    )
    .action(run);
}

const tell = (line: string) => void process.stderr.write(`${line}\n`);

async function run(options: Options): Promise<void> {
  const directory = clusterDirectory(options.dir);
  await clear(directory);
  let interrupted = false;
  const stop = new Promise<undefined>((resolve) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) {
      process.on(name, () => {
        if (interrupted) process.exit(130);
        interrupted = true;
        resolve(undefined);
      });
    }
  });
  try {
    const shown = show(directory, options);
    shown.catch(() => {});
    const seen = await Promise.race([shown, stop]);
    if (!seen) throw new CliError("FAILED", "interrupted");
    const failed = seen.filter(({ from, to }) => from === to);
    if (failed.length > 0) throw new CliError("FAILED", `nobody took over: ${failed.map(({ event }) => event).join()}`);
  } finally {
    tell("cleaning up");
    await clear(directory);
  }
}

async function show(directory: ClusterDirectory, options: Options): Promise<Failover[]> {
  const ports = [
    ["--api-port", [6443, 16443]],
    ["--http-port", [80, 8080, 18080]],
    ["--https-port", [443, 8443, 18443]],
  ] as const;
  const flags = await Promise.all(ports.map(async ([flag, wanted]) => [flag, String(await freePort([...wanted]))]));
  const words = ["up", "--report-to-parent", "--dir", directory.root, "--nodes", String(vipNodes), "--vip"];
  const done = (text: string) => tell(text.split("\n")[0] ?? "");
  await runDetached(directory, [...words, ...flags.flat()], { line: tell, done });
  const client = await connect(directory);
  const stage = await asking(bringUp(directory), () =>
    setVipStage({ client, directory, tell, commands: systemCommands, clock: systemClock }),
  );
  try {
    tell(`the client asks http://${stage.address}/ every 10 ms`);
    const seen: Failover[] = [];
    const write = (event: string, from: string, to: string, gap: string, requests: string) =>
      process.stdout.write(
        `${event.padEnd(36)}  ${from.padEnd(7)}  ${to.padEnd(7)}  ${gap.padStart(8)}  ${requests}\n`,
      );
    if (options.output === "table") write("WHAT HAPPENS", "FROM", "TO", "GAP", "LOST");
    for (const { run: go } of stage.events) {
      const one = await go();
      seen.push(one);
      if (options.output === "table")
        write(one.event, one.from, one.to, `${one.gap} ms`, `${one.lost} of ${one.requests} requests`);
    }
    if (options.output !== "table") process.stdout.write(await render(seen, options.output));
    return seen;
  } finally {
    await stage.close();
  }
}

/** Takes down and removes whatever an earlier run, also one that was killed, has left. */
async function clear(directory: ClusterDirectory): Promise<void> {
  if (!existsSync(directory.root)) return;
  await removeClient(directory, systemCommands);
  await takeDown(directory, tell);
  await rm(directory.root, { recursive: true, force: true, maxRetries: 5 });
}
