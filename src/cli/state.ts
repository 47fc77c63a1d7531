import { readFile, rename, writeFile } from "node:fs/promises";
import type { FrontendState } from "../proxy/index.ts";
import type { ChosenRanges } from "./cluster/addresses.ts";
import type { ClusterDirectory } from "./directory.ts";
import { CliError, systemCodeOf } from "./errors.ts";
import type { ProxyMode } from "./settings.ts";

/** How a cluster was brought up: what `status`, `demo` and `down` need to know and the API does not tell. */
export interface ClusterState {
  readonly network: "namespaces" | "loopback";
  readonly proxyMode: ProxyMode;
  /** Names of the nodes, the first of which is this machine. */
  readonly nodes: readonly string[];
  readonly clusterDomain: string;
  readonly dns: { readonly address: string; readonly port: number };
  /** Where the Ingress data plane really listens. */
  readonly ingress: { readonly address: string; readonly httpPort: number; readonly httpsPort: number };
  /** Where pods and Services have their addresses. Absent: written by an earlier version. */
  readonly podCidrs?: readonly string[];
  readonly serviceCidrs?: readonly string[];
  /** The ranges that were asked for: they hold for later starts too. Absent: written by an earlier version. */
  readonly chosen?: ChosenRanges;
  /** Services that answer elsewhere than their objects say, or not at all. */
  readonly frontends: readonly FrontendState[];
}

/** Writes the state so that a reader sees the old or the new, whole. */
export async function writeState(directory: ClusterDirectory, state: ClusterState): Promise<void> {
  const path = `${directory.state}.new`;
  await writeFile(path, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  await rename(path, directory.state);
}

/** The state, or undefined when no cluster was ever brought up in the directory. Throws CliError CORRUPT. */
export async function readState(directory: ClusterDirectory): Promise<ClusterState | undefined> {
  try {
    return JSON.parse(await readFile(directory.state, "utf8")) as ClusterState;
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new CliError("CORRUPT", `${directory.state} cannot be read: ${String(error)}`, "bring the cluster up again", {
      cause: error,
    });
  }
}
