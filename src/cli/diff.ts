import { Command, Option } from "commander";
import type { Client } from "../client/index.ts";
import {
  assumeObjects,
  type Assumption,
  type Change,
  type Cluster,
  compareClusters,
  createCluster,
  type Difference,
  gatewayRouting,
  gatewaysWith,
  isOfGatewayApi,
  noObjects,
  type RowChanges,
} from "../explain/index.ts";
import { isStatus, type KubeObject, StatusError } from "../kube/index.ts";
import type { ProxyMode } from "../proxy/index.ts";
import type { GatewayTranslation } from "../routing/index.ts";
import { doctorText } from "./doctor.ts";
import { CliError } from "./errors.ts";
import { readFacts } from "./explain/facts.ts";
import { gatewayOptions, readGateways } from "./explain/gateways.ts";
import { readObjects } from "./explain/objects.ts";
import { asking } from "./connect.ts";
import {
  asCliError,
  checkCluster,
  completeManifest,
  findSource,
  readFiles,
  type SourceOptions,
  withSource,
} from "./explain/source.ts";
import { type ManifestObject, readManifests } from "./manifests.ts";
import { parseTextFormat, render, type TextFormat } from "./output.ts";

interface DiffOptions extends SourceOptions {
  readonly filename: readonly string[];
  readonly mode?: ProxyMode;
  readonly offline?: boolean;
  readonly verbose?: boolean;
  readonly output: TextFormat;
}

const modes: readonly ProxyMode[] = ["nftables", "iptables", "userspace"];
const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export function diffCommand(): Command {
  const command = new Command("diff")
    .description(
      "Say what would change for clients if manifests were applied, and in each mode's rows. Nothing is changed.",
    )
    .addOption(
      new Option("-f, --filename <path>", "manifests: files, folders or -; may be given again")
        .argParser(collect)
        .makeOptionMandatory(),
    )
    .addOption(new Option("--mode <mode>", "rows of this mode only").choices([...modes]))
    .option("--offline", "compare with an empty cluster, and ask none")
    .option("-v, --verbose", "print the rows themselves")
    .addOption(new Option("-o, --output <format>", "text, json or yaml").default("text").argParser(parseTextFormat));
  return withSource(command, "none")
    .addHelpText(
      "after",
      `
Objects go through the API by a server-side dry run, so that defaults, admission and allocation count. What controllers would add
afterwards (pods, endpoints) is assumed and said.
Exit code, as kubectl diff: 0 when nothing would change, 1 when something would, above 1 on an error.

Examples:
  fairlead diff -f manifests/
  fairlead diff -f service.yaml --mode iptables -v
  fairlead diff -f manifests/ --offline
  fairlead diff -f manifests/ -o json | jq '.changes[] | select(.kind == "removed")'`,
    )
    .action(diff);
}

async function diff(options: DiffOptions): Promise<void> {
  try {
    const source = options.offline
      ? { facts: { clusterDomain: "cluster.local", podCidrs: options.clusterCidr ?? [], serviceCidrs: [] } }
      : await findSource({ ...options, filename: [] });
    const client = "client" in source ? source.client : undefined;
    const base = client ? (await asking(checkCluster, () => readObjects(client))).objects : noObjects;
    const { objects, skipped } = client ? await dryRun(client, options.filename) : await readFiles(options.filename);
    for (const warning of skipped) process.stderr.write(`warning: ${warning}\n`);
    const { controllerName } = await import("../dataplane/index.ts");
    const assumed = assumeObjects(objects, { base, controllerName });
    const wanted = client ? source.facts : { ...source.facts, serviceCidrs: ["10.96.0.0/16"] };
    const [before, after] = await Promise.all(
      [base, assumed.objects].map((each) =>
        readFacts({ cluster: createCluster(each, wanted), source, assumptions: [], warnings: [] }, false),
      ),
    );
    if (!before || !after) return;
    const gateways = client && (await compareGateways(client, objects, [before.cluster, after.cluster]));
    const difference = compareClusters(before, after, options.mode ? [options.mode] : modes, gateways);
    process.stdout.write(
      options.output === "text"
        ? differenceText(difference, assumed.assumptions, options.verbose ?? false)
        : await render({ ...difference, assumptions: assumed.assumptions.map(({ text }) => text) }, options.output),
    );
    const rows = difference.rows.some(({ added, removed }) => added.length + removed.length > 0);
    if (difference.changes.length + difference.appearing.length + difference.disappearing.length > 0 || rows)
      process.exitCode = 1;
  } catch (error) {
    const known = asCliError(error);
    // 1 says that there are differences.
    throw known instanceof CliError && known.code !== "FAILED" ? known : new CliError("BAD_FILE", messageOf(known));
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What the Gateway API means in the cluster as it is and as it would be; undefined where neither has any of it. */
async function compareGateways(
  client: Client,
  manifests: readonly KubeObject[],
  [before, after]: readonly [Cluster, Cluster],
): Promise<{ before: GatewayTranslation; after: GatewayTranslation } | undefined> {
  const found = await asking(checkCluster, () => readGateways(client, manifests));
  const wanted = gatewaysWith(found, manifests);
  if (wanted.objects.length === 0) return undefined;
  const options = await gatewayOptions();
  return { before: gatewayRouting(before, found, options), after: gatewayRouting(after, wanted, options) };
}

/** What the API would make of each object. A namespace that the manifests bring along is not there in a dry run. */
async function dryRun(client: Client, paths: readonly string[]): Promise<{ objects: KubeObject[]; skipped: string[] }> {
  const skipped: string[] = [];
  const manifests = await readManifests(paths, (source, kind) => skipped.push(`${source}: ${kind} is left out`));
  const namespaces = new Set(
    manifests.filter(({ object }) => object.kind === "Namespace").map(({ object }) => object.metadata.name),
  );
  const objects: KubeObject[] = [];
  for (const manifest of manifests) {
    const { source, resource, object } = manifest;
    const metadata = resource.namespaced ? { namespace: "default", ...object.metadata } : object.metadata;
    try {
      objects.push(
        await asking(checkCluster, () =>
          client.apply(resource, { ...object, metadata }, { dryRun: true, fieldManager: "fairlead" }),
        ),
      );
    } catch (error) {
      const comesAlong =
        error instanceof StatusError &&
        namespaces.has(metadata.namespace ?? "") &&
        /namespaces? .*not found/i.test(error.message);
      if (isOfGatewayApi(object) && !comesAlong && isStatus(error, "NotFound")) {
        skipped.push(`${source}: ${resource.kind} is left out: the cluster does not have this kind`);
        continue;
      }
      if (!comesAlong) throw refused(manifest, error);
      if (isOfGatewayApi(object))
        throw new CliError("REFUSED", `${source}: ${error.message}`, "create the namespace first", { cause: error });
      objects.push(completeManifest(manifest, skipped));
    }
  }
  return { objects, skipped };
}

function refused({ source }: ManifestObject, error: unknown): unknown {
  return error instanceof StatusError
    ? new CliError("REFUSED", `${source}: ${error.message}`, "correct it; nothing was changed", { cause: error })
    : error;
}

const signs = { added: "+", removed: "-", changed: "~" } as const;

/** A difference for people: what clients meet first, then what would be wrong, then rows. */
export function differenceText(
  { changes, appearing, disappearing, rows }: Difference,
  assumptions: readonly Assumption[],
  verbose: boolean,
): string {
  const blocks: string[] = [];
  const byObject = new Map<string, Change[]>();
  for (const change of changes) byObject.set(change.object, [...(byObject.get(change.object) ?? []), change]);
  for (const [object, list] of byObject) blocks.push([object, ...list.flatMap(changeLines)].join("\n"));
  if (appearing.length > 0) blocks.push(`Would be wrong:\n\n${doctorText(appearing).trimEnd()}`);
  if (disappearing.length > 0)
    blocks.push(
      ["Would be put right:", ...disappearing.map(({ object, problem }) => `  ${object}: ${problem}`)].join("\n"),
    );
  const moving = rows.filter(({ added, removed }) => added.length + removed.length > 0);
  if (moving.length > 0) blocks.push(["Rows:", ...moving.flatMap((one) => rowLines(one, verbose))].join("\n"));
  if (blocks.length === 0) return "Nothing would change.\n";
  if (assumptions.length > 0) blocks.push(["Assumed:", ...assumptions.map(({ text }) => `  - ${text}`)].join("\n"));
  return `${blocks.join("\n\n")}\n`;
}

function changeLines({ kind, what, before, after }: Change): string[] {
  const sign = signs[kind];
  if (kind === "changed") return [`${sign} ${what}`, `    was  ${before ?? ""}`, `    is   ${after ?? ""}`];
  return [`${sign} ${what}`, `    ${before ?? after ?? ""}`];
}

function rowLines({ mode, node, added, removed, replaced }: RowChanges, verbose: boolean): string[] {
  const counts = `  ${mode} on ${node}: ${added.length - replaced} added, ${removed.length - replaced} removed, ${replaced} replaced`;
  if (!verbose) return [counts];
  const text = ({ table, key, value, owner }: RowChanges["added"][number]) =>
    `${table} ${key.join(" ")}${value.length > 0 ? ` -> ${value.join(" ")}` : ""}  (${owner.object}: ${owner.field})`;
  return [counts, ...removed.map((row) => `    - ${text(row)}`), ...added.map((row) => `    + ${text(row)}`)];
}
