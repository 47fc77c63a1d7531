import type { EndpointSlice } from "../kube/index.ts";
import { serviceOfSlice } from "../services/index.ts";

/** EndpointSlices by `namespace/name` of the Service they belong to (label of discovery.k8s.io/v1). */
export function slicesByService(slices: readonly EndpointSlice[]): ReadonlyMap<string, readonly EndpointSlice[]> {
  const groups = new Map<string, EndpointSlice[]>();
  for (const slice of slices) {
    const key = serviceOfSlice(slice);
    if (key === undefined) continue;
    const group = groups.get(key);
    if (group) group.push(slice);
    else groups.set(key, [slice]);
  }
  return groups;
}
