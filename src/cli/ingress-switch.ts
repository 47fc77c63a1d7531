import { Command, Option } from "commander";
import { askDataPlanes, type DataPlaneName, type DataPlaneStatus } from "../dataplane/index.ts";
import { isAnswered } from "../system/index.ts";
import { defaultControlSocket, ingressSocket, throughSocket } from "./control-socket.ts";
import { dataPlaneName } from "./data-plane.ts";
import { clusterDirectory, defaultDirectory } from "./directory.ts";
import { CliError } from "./errors.ts";
import { parseOutput, render, table, type OutputFormat } from "./output.ts";
import { readState } from "./state.ts";

interface Where {
  readonly controlSocket?: string;
  readonly dir?: string;
}

const withPlace = (command: Command): Command =>
  command
    .option("--control-socket <path>", "of the process that runs (default: where `fairlead ingress` has it)")
    .option("--dir <dir>", "directory of a cluster that `fairlead up` runs");

export function ingressSwitchCommand(): Command {
  return withPlace(
    new Command("switch")
      .description(
        "Serve Ingresses and Gateways by another data plane, while it runs. The new one is started beside the old one, gets every route and is tried with requests; then it takes the same sockets, and the old one ends its connections with their next answer. When it does not work, all stays as it was.",
      )
      .requiredOption("--to <name>", "embedded, haproxy or nginx", (value) => dataPlaneName(value, "--to")),
  )
    .option("--allow-refused", "also when the new one cannot serve routes that are served now", false)
    .addHelpText(
      "after",
      `
It holds until the process starts again: give the new one to its --dataplane as well. WebSockets and streams go on in the old one until they end, an
hour at most.

Examples:
  fairlead ingress switch --to haproxy
  fairlead ingress switch --to nginx --dir ~/.fairlead`,
    )
    .action(
      async ({
        to,
        allowRefused,
        ...where
      }: Where & { readonly to: DataPlaneName; readonly allowRefused: boolean }) => {
        const all = await asked(where, { switchTo: to, lossy: allowRefused });
        for (const { part, dataplane } of all) process.stdout.write(`${titles[part]} are served by ${dataplane}\n`);
      },
    );
}

const titles = { ingress: "Ingresses", gateway: "Gateways" } as const;

export function ingressStatusCommand(): Command {
  return withPlace(
    new Command("status").description("Show which data plane serves Ingresses and Gateways, and at which ports."),
  )
    .addOption(new Option("-o, --output <format>", "table, json or yaml").default("table").argParser(parseOutput))
    .action(async ({ output, ...where }: Where & { readonly output: OutputFormat }) => {
      const all = await asked(where);
      if (output !== "table") {
        process.stdout.write(await render(all, output));
        return;
      }
      const rows = all.map(({ part, dataplane, retiring, listeners, unserved }) => [
        titles[part],
        dataplane,
        listeners.flatMap(({ port }) => (port === undefined ? [] : [String(port)])).join(",") || "-",
        retiring.join(",") || "-",
        unserved ?? "all",
      ]);
      process.stdout.write(table(["OBJECTS", "DATA PLANE", "PORTS", "STILL ENDING", "ROUTES SERVED"], rows));
    });
}

async function asked(
  { controlSocket, dir }: Where,
  how: Parameters<typeof askDataPlanes>[1] = {},
): Promise<readonly DataPlaneStatus[]> {
  const path = controlSocket ?? (await socketOf(dir));
  return throughSocket("ingress controller", path, () => askDataPlanes(path, how));
}

async function socketOf(dir: string | undefined): Promise<string> {
  const own = defaultControlSocket("ingress");
  if (dir === undefined && (await isAnswered(own))) return own;
  const directory = clusterDirectory(dir ?? defaultDirectory);
  if (await readState(directory)) return ingressSocket(directory);
  const remedy = "start one with `fairlead ingress` or `fairlead up`, or name its socket with --control-socket";
  throw new CliError(
    "NOT_RUNNING",
    `there is no ingress controller at ${own}, and no cluster in ${directory.root}`,
    remedy,
  );
}
