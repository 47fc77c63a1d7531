import { fstatSync } from "node:fs";
import { Command } from "commander";
import { startTestCluster } from "../testing/index.ts";
import { CliError } from "./errors.ts";
import { terminal } from "./narrator.ts";
import { untilSignal } from "./signals.ts";

interface Flags {
  readonly dir?: string;
  readonly fsync: boolean;
  readonly port: string;
  readonly controllers: boolean;
}

export function testClusterCommand(): Command {
  return new Command("test-cluster")
    .description("Run a Kubernetes API for the tests of a controller, until it is stopped or its standard input ends.")
    .option("--dir <dir>", "keep its state in this directory (default: in memory, gone at the end)")
    .option(
      "--no-fsync",
      "with --dir: acknowledge writes BEFORE they are on disk. For tests only: a machine that stops loses them",
    )
    .option("--port <port>", "port on 127.0.0.1", "0")
    .option("--no-controllers", "the API alone: no garbage collection, no end of namespaces, no Pods of Deployments")
    .addHelpText(
      "after",
      `
Prints one line of JSON on standard output when it answers: {"server": "https://127.0.0.1:PORT", "kubeconfig": "FILE"}.
Several run beside each other. Nothing runs pods.

Examples:
  fairlead test-cluster
  fairlead test-cluster --dir ./state --no-fsync --port 6443`,
    )
    .action(run);
}

async function run({ dir, fsync, port: text, controllers }: Flags): Promise<void> {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535)
    throw new CliError("USAGE", `--port ${JSON.stringify(text)} is not usable`, "give a number from 0 to 65535");
  if (!fsync && dir === undefined)
    throw new CliError("USAGE", "--no-fsync without --dir does nothing", "without --dir nothing is on disk at all");
  if (!fsync) terminal.line("--no-fsync: writes are acknowledged before they are on disk. FOR TESTS ONLY.");
  const cluster = await startTestCluster({ ...(dir === undefined ? {} : { dir, noFsync: !fsync }), port, controllers });
  process.stdout.write(`${JSON.stringify({ server: cluster.server, kubeconfig: cluster.kubeconfigFile })}\n`);
  await Promise.race([untilSignal(new AbortController()), parentGone()]);
  await cluster.stop();
  process.stdin.destroy();
}

/** Settles when the program that holds the other end of standard input is gone. Where it is no pipe nobody does. */
function parentGone(): Promise<void> {
  const input = fstatSync(0);
  if (!input.isFIFO() && !input.isSocket()) return new Promise(() => {});
  const { stdin } = process;
  return new Promise((resolve) => {
    stdin.on("error", () => resolve());
    stdin.once("end", resolve);
    stdin.resume();
  });
}
