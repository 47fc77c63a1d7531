import type { NodeDraining } from "../../explain/index.ts";
import { askProxy } from "../../proxy/index.ts";
import { socketsOf } from "../proxy-switch.ts";
import type { ClusterSource } from "./source.ts";

/**
 * Endpoints that were taken out and have connections left, as the proxies of the cluster's nodes on this machine say, and what could not be
 * asked. Proxies of other machines are not asked.
 */
export async function readDraining({
  client,
  directory,
}: ClusterSource): Promise<{ readonly draining: readonly NodeDraining[]; readonly warnings: readonly string[] }> {
  // Objects of files have no connections; of other people's clusters this machine may be a node or not.
  if (!client || !directory) return { draining: [], warnings: [] };
  const draining: NodeDraining[] = [];
  const warnings: string[] = [];
  for (const { name, path } of await socketsOf({ dir: directory.root }))
    try {
      for (const one of (await askProxy(path)).draining) draining.push({ ...one, node: name });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      warnings.push(`the proxy of ${name} does not say which endpoints drain: ${reason}`);
    }
  return { draining, warnings };
}
