import type { ClusterDirectory } from "../directory.ts";
import { CliError } from "../errors.ts";
import { readState } from "../state.ts";
import type { ChosenRanges } from "./addresses.ts";

/**
 * The ranges of this start: what is given, else what an earlier start of the cluster was given. A second family may be added; what Services
 * and pods have addresses of may not change under them. Throws CliError USAGE.
 */
export async function rangesOf(directory: ClusterDirectory, given: ChosenRanges): Promise<ChosenRanges> {
  const state = await readState(directory);
  if (!state) return { serviceCidr: given.serviceCidr, clusterCidr: given.clusterCidr };
  const before = state.chosen ?? { serviceCidr: [], clusterCidr: [] };
  const keep = (option: string, field: keyof ChosenRanges, usual: readonly string[]): readonly string[] => {
    if (given[field].length === 0) return before[field];
    const known = before[field].length > 0 ? before[field] : usual;
    if (known.every((range, i) => range === given[field][i])) return given[field];
    throw new CliError(
      "USAGE",
      `${option} ${given[field].join(",")}: this cluster has ${known.join(",")}`,
      "leave it out, add a second family to it, or begin anew with `fairlead down --delete`",
    );
  };
  const usualOfServices = state.network === "namespaces" ? ["10.96.0.0/16"] : [];
  return {
    serviceCidr: keep("--service-cidr", "serviceCidr", state.serviceCidrs ?? usualOfServices),
    clusterCidr: keep("--cluster-cidr", "clusterCidr", state.podCidrs ?? []),
  };
}
