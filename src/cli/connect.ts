import { stat } from "node:fs/promises";
import { type Client, ClientError, createHttpClient, loadKubeconfig } from "../client/index.ts";
import type { ClusterDirectory } from "./directory.ts";
import { CliError } from "./errors.ts";

/**
 * A client for the cluster that runs on a directory, with the kubeconfig written there. Throws CliError NOT_RUNNING when
 * there never was one.
 */
export async function connect(directory: ClusterDirectory): Promise<Client> {
  const exists = await stat(directory.kubeconfig).then(
    () => true,
    () => false,
  );
  if (!exists) {
    throw new CliError(
      "NOT_RUNNING",
      `there is no cluster in ${JSON.stringify(directory.root)}`,
      "bring one up with `fairlead up`, or name another with --dir",
    );
  }
  return createHttpClient(await loadKubeconfig({ path: directory.kubeconfig }));
}

/** What to do when the cluster of a directory does not answer. */
export const bringUp = (directory: ClusterDirectory): string =>
  `bring the cluster up with \`fairlead up --dir ${directory.root}\``;

/** Runs `work` against the API; that it cannot be reached becomes CliError UNREACHABLE with what to do. */
export async function asking<T>(remedy: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    throw new CliError("UNREACHABLE", `the API does not answer: ${error.message}`, remedy, { cause: error });
  }
}
