import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type Command, Option } from "commander";
import { type Client, ClientError, createHttpClient, loadKubeconfig } from "../../client/index.ts";
import {
  assumeObjects,
  type Assumption,
  type Cluster,
  type ClusterFacts,
  type ClusterObjects,
  createCluster,
  ExplainError,
  isOfGatewayApi,
} from "../../explain/index.ts";
import { decode, type KubeObject, StatusError, strategyFor } from "../../kube/index.ts";
import { clusterDirectory, type ClusterDirectory, defaultDirectory } from "../directory.ts";
import { asking } from "../connect.ts";
import { CliError } from "../errors.ts";
import { type ManifestObject, readManifests } from "../manifests.ts";
import { type ClusterState, readState } from "../state.ts";
import { readObjects } from "./objects.ts";

/** Where the objects come from that a command explains. */
export interface SourceOptions {
  readonly dir?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly filename?: readonly string[];
  readonly clusterCidr?: readonly string[];
}

export interface ClusterSource {
  /** Absent: files only. */
  readonly client?: Client;
  /** Of a cluster that `fairlead up` runs. */
  readonly state?: ClusterState;
  /** Of a cluster of ours. */
  readonly directory?: ClusterDirectory;
  readonly facts: ClusterFacts;
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** Adds the options by which a command is told which cluster it is about. */
export function withSource(command: Command, files: "instead" | "none" = "instead"): Command {
  command
    .option("--dir <dir>", `directory of a cluster of \`fairlead up\` (default: ${defaultDirectory})`)
    .option("--kubeconfig <file>", "any Kubernetes cluster (default: KUBECONFIG, else --dir, else ~/.kube/config)")
    .option("--context <name>", "context of the kubeconfig")
    .addOption(
      new Option("--cluster-cidr <cidr>", "where pods have their addresses (default: what the nodes say)").argParser(
        collect,
      ),
    );
  if (files === "instead")
    command.addOption(
      new Option("-f, --filename <path>", "manifests in place of a cluster: files, folders or - ").argParser(collect),
    );
  return command;
}

/** Finds the cluster. Throws CliError when there is none. */
export async function findSource(options: SourceOptions): Promise<ClusterSource> {
  const given = options.clusterCidr ?? [];
  const plain: ClusterFacts = { clusterDomain: "cluster.local", podCidrs: given, serviceCidrs: [] };
  if (options.filename?.length && !options.dir && !options.kubeconfig && !options.context) return { facts: plain };
  const env = options.kubeconfig === undefined && options.dir === undefined ? process.env["KUBECONFIG"] : undefined;
  const named = options.kubeconfig ?? (options.dir === undefined ? env : undefined);
  // A kubeconfig that lies in the directory of a cluster of ours is that cluster.
  const root = named ? dirname(resolve(named)) : (options.dir ?? defaultDirectory);
  const directory = clusterDirectory(root);
  const ours = existsSync(directory.state) && (!named || resolve(named) === directory.kubeconfig);
  if (!ours && options.dir !== undefined)
    throw new CliError(
      "NOT_RUNNING",
      `there is no cluster in ${JSON.stringify(directory.root)}`,
      "bring one up with `fairlead up`, or name another with --dir or --kubeconfig",
    );
  const path = ours ? directory.kubeconfig : options.kubeconfig;
  try {
    const config = await loadKubeconfig({
      ...(path ? { path } : {}),
      ...(options.context ? { context: options.context } : {}),
    });
    const client = createHttpClient(config);
    if (!ours) return { client, facts: plain };
    const state = await readState(directory);
    return {
      client,
      directory,
      ...(state ? { state } : {}),
      facts: {
        clusterDomain: state?.clusterDomain ?? plain.clusterDomain,
        podCidrs: given.length > 0 ? given : (state?.podCidrs ?? []),
        serviceCidrs: [],
      },
    };
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    throw new CliError(
      "NOT_RUNNING",
      error.message,
      "name a cluster with --kubeconfig or --dir, or manifests with -f",
      {
        cause: error,
      },
    );
  }
}

export interface ReadCluster {
  readonly cluster: Cluster;
  readonly source: ClusterSource;
  /** What was assumed where files took the place of a cluster. */
  readonly assumptions: readonly Assumption[];
  /** What could not be read. */
  readonly warnings: readonly string[];
}

/** Reads the objects of the cluster, or of the files. */
export async function readCluster(options: SourceOptions): Promise<ReadCluster> {
  const source = await findSource(options);
  if (!source.client) {
    const { objects, skipped } = await readFiles(options.filename ?? []);
    const { controllerName } = await import("../../dataplane/index.ts");
    const assumed = assumeObjects(objects, { controllerName });
    const cluster = createCluster(assumed.objects, withAssumedRanges(source.facts, assumed.objects));
    return { cluster, source, assumptions: assumed.assumptions, warnings: skipped };
  }
  const { objects, unread } = await asking(checkCluster, () => readObjects(source.client as Client));
  return { cluster: createCluster(objects, source.facts), source, assumptions: [], warnings: unread };
}

/** What to do when a cluster does not answer, wherever it was found. */
export const checkCluster = "check that the cluster runs, or name another with --kubeconfig or --dir";

/** Turns what explain refuses into an error of the command line. */
export function asCliError(error: unknown): unknown {
  return error instanceof ExplainError
    ? new CliError(error.code === "BAD_REFERENCE" ? "USAGE" : "FAILED", error.message, error.remedy)
    : error;
}

/** Objects of files with their defaults, as the API server would store them. Throws CliError BAD_FILE naming file and field. */
export async function readFiles(paths: readonly string[]): Promise<{ objects: KubeObject[]; skipped: string[] }> {
  const skipped: string[] = [];
  const manifests = await readManifests(paths, (source, kind) => skipped.push(`${source}: ${kind} is left out`));
  const objects = manifests.flatMap((manifest) => {
    if (!isOfGatewayApi(manifest.object)) return completeManifest(manifest, skipped);
    skipped.push(`${manifest.source}: ${manifest.object.kind} is left out: a cluster has the defaults of its fields`);
    return [];
  });
  return { objects, skipped };
}

/** The object with its defaults. Throws as `readFiles` does. */
export function completeManifest({ source, resource, object }: ManifestObject, warnings: string[]): KubeObject {
  const metadata = resource.namespaced ? { namespace: "default", ...object.metadata } : object.metadata;
  try {
    const read = decode(resource, { ...object, metadata }, { fieldValidation: "Warn" });
    warnings.push(...read.warnings.map((warning) => `${source}: ${resource.kind} ${metadata.name}: ${warning}`));
    strategyFor(resource).defaults(read.object);
    return read.object;
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    throw new CliError(
      "BAD_FILE",
      `${source}: ${resource.kind} ${metadata.name}: ${error.message}`,
      "correct the field",
      {
        cause: error,
      },
    );
  }
}

/** The first manifests of a file bring the pods' range along, where it has to be assumed. */
function withAssumedRanges(facts: ClusterFacts, objects: ClusterObjects): ClusterFacts {
  const told = objects.nodes.some(({ spec }) => spec?.podCIDR);
  return {
    ...facts,
    podCidrs: facts.podCidrs.length > 0 || told ? facts.podCidrs : ["10.42.0.0/16"],
    serviceCidrs: objects.serviceCidrs.length > 0 ? [] : ["10.96.0.0/16"],
  };
}
