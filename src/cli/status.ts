import { Command, Option } from "commander";
import type { Client } from "../client/index.ts";
import { type ClusterObjects, type Exposure, exposures } from "../explain/index.ts";
import { isStatus, resources, type Secret } from "../kube/index.ts";
import { asking, connect } from "./connect.ts";
import { clusterDirectory, defaultDirectory } from "./directory.ts";
import { type OutputFormat, parseOutput, render, table } from "./output.ts";
import { readState } from "./state.ts";

interface StatusOptions {
  readonly dir: string;
  readonly namespace?: string;
  readonly output: OutputFormat;
}

export function statusCommand(): Command {
  return new Command("status")
    .description(
      "Show what is exposed: every address and name it answers on, how many endpoints are ready,\nand for what cannot be reached the reason.",
    )
    .option("--dir <dir>", "directory of the cluster", defaultDirectory)
    .option("-n, --namespace <name>", "only this namespace (default: all)")
    .addOption(new Option("-o, --output <format>", "table, json or yaml").default("table").argParser(parseOutput))
    .addHelpText(
      "after",
      `
READY is ready/all endpoints. A line under a row says why it cannot be reached, and what would put it right.

Examples:
  fairlead status
  fairlead status -n shop
  fairlead status -o json | jq -r '.[] | select(.reason) | .name + ": " + .reason'`,
    )
    .action(showStatus);
}

async function showStatus({ dir, namespace, output }: StatusOptions): Promise<void> {
  const directory = clusterDirectory(dir);
  const client = await connect(directory);
  const rows = await asking(directory, async () => {
    const { controllerName, inspectKeyPair } = await import("../dataplane/index.ts");
    const state = await readState(directory);
    return exposures(await readObjects(client, namespace), {
      clusterDomain: state?.clusterDomain ?? "cluster.local",
      frontends: state?.frontends ?? [],
      controllerName,
      inspect: inspectKeyPair,
      ports: { http: state?.ingress.httpPort ?? 80, https: state?.ingress.httpsPort ?? 443 },
    });
  });
  process.stdout.write(output === "table" ? statusTable(rows) : await render(rows, output));
}

/** Everything that a cluster exposes depends on, read once. Secrets only by name: those that Ingresses use. */
async function readObjects(client: Client, namespace: string | undefined): Promise<ClusterObjects> {
  const where = namespace === undefined ? {} : { namespace };
  const [services, slices, pods, events, ingresses, nodes, classes] = await Promise.all([
    client.list(resources.Service, where),
    client.list(resources.EndpointSlice, where),
    client.list(resources.Pod, where),
    client.list(resources.Event, where),
    client.list(resources.Ingress, where),
    client.list(resources.Node),
    client.list(resources.IngressClass),
  ]);
  const named = new Set<string>();
  for (const { metadata, spec } of ingresses.items) {
    for (const { secretName } of spec.tls ?? []) if (secretName) named.add(`${metadata.namespace}/${secretName}`);
  }
  const secrets = await Promise.all(
    [...named].map(async (key): Promise<Secret[]> => {
      const [secretNamespace = "", name = ""] = key.split("/");
      try {
        return [await client.get(resources.Secret, { namespace: secretNamespace, name })];
      } catch (error) {
        if (isStatus(error, "NotFound", "Forbidden")) return [];
        throw error;
      }
    }),
  );
  return {
    services: services.items,
    slices: slices.items,
    pods: pods.items,
    events: events.items,
    ingresses: ingresses.items,
    nodes: nodes.items,
    classes: classes.items,
    secrets: secrets.flat(),
  };
}

/** One table: a row for each way, further addresses and names beneath, and under it the reason where there is one. */
export function statusTable(rows: readonly Exposure[]): string {
  if (rows.length === 0) return "Nothing is exposed yet. Try: kubectl expose deployment NAME --port=80\n";
  const header = ["NAMESPACE", "NAME", "WAY", "ADDRESS", "DNS NAME OR HOST", "READY"];
  const lines: { cells: string[]; reason?: string }[] = [];
  for (const { namespace, kind, name, way, addresses, names, endpoints, reason } of rows) {
    const ready = endpoints ? `${endpoints.ready}/${endpoints.total}` : "-";
    const count = Math.max(1, addresses.length, names.length);
    for (let i = 0; i < count; i++) {
      const first = i === 0 ? [namespace, `${kind.toLowerCase()}/${name}`, way] : ["", "", ""];
      const none = i === 0 ? "-" : "";
      lines.push({ cells: [...first, addresses[i] ?? none, names[i] ?? none, i === 0 ? ready : ""] });
    }
    const last = lines.at(-1);
    if (last && reason !== undefined) last.reason = reason;
  }
  const [head = "", ...body] = table(
    header,
    lines.map(({ cells }) => cells),
  ).split("\n");
  const printed = lines.flatMap(({ reason }, i) => [
    body[i] ?? "",
    ...(reason === undefined ? [] : [`  └ not reachable: ${reason}`]),
  ]);
  return `${[head, ...printed].join("\n")}\n`;
}
