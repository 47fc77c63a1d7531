import type { Pod } from "../../kube/index.ts";

const kinds = ["cpu", "memory"] as const;

/** Guaranteed, Burstable or BestEffort, from requests and limits for cpu and memory of all containers. */
export function qosClass(pod: Pod): "Guaranteed" | "Burstable" | "BestEffort" {
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
  const present = (value: string | undefined): boolean => value !== undefined && value !== "0";
  let any = false;
  let guaranteed = true;
  for (const { resources = {} } of containers) {
    for (const kind of kinds) {
      const limit = resources.limits?.[kind];
      const request = resources.requests?.[kind] ?? limit;
      if (present(limit) || present(request)) any = true;
      if (!present(limit) || request !== limit) guaranteed = false;
    }
  }
  return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}
