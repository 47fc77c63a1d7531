import type { Pod } from "../../../kube/index.ts";
import { type Check, some } from "../check.ts";

/** One Service over the pods of several workloads: half of its answers come from somebody else. */
export const selectorTooWide: Check = {
  code: "selector-overlaps",
  about: "a selector that takes in pods of several workloads",
  reads: "Services, Pods",
  *run({ services }) {
    for (const { service, object, pods } of services) {
      const groups = new Map<string, Pod[]>();
      for (const pod of pods) {
        const owner = ownerOf(pod);
        if (owner === undefined) continue;
        groups.set(owner, [...(groups.get(owner) ?? []), pod]);
      }
      if (groups.size < 2) continue;
      const selector = Object.entries(service.spec.selector ?? {}).map(([key, value]) => `${key}=${value}`);
      yield {
        severity: "warning",
        object,
        field: "spec.selector",
        problem: `it selects pods of ${groups.size} workloads: ${some([...groups.keys()])}`,
        evidence: [
          `selector ${selector.join(",")}`,
          ...[...groups].slice(0, 4).map(([owner, list]) => `${owner}: ${list.length} pods`),
        ],
        remedy: "add a label to the selector that only the workload has which is meant",
      };
    }
  },
};

/** The workload of a pod; a ReplicaSet stands for the Deployment that made it. */
function ownerOf({ metadata }: Pod): string | undefined {
  const owner = metadata.ownerReferences?.find(({ controller }) => controller);
  if (!owner) return undefined;
  const hash = metadata.labels?.["pod-template-hash"];
  if (owner.kind === "ReplicaSet" && hash && owner.name.endsWith(`-${hash}`))
    return `Deployment ${owner.name.slice(0, -hash.length - 1)}`;
  return `${owner.kind} ${owner.name}`;
}
