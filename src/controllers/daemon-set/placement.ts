import type { DaemonSet, Draft, Node, Pod, PodSpec, Toleration } from "../../kube/index.ts";
import { resources } from "../../kube/index.ts";
import { nodeAdmits, tolerates } from "../../scheduler/index.ts";
import { podDraft } from "../pod-draft.ts";
import { revisionLabel } from "../revisions/revisions.ts";

const generationAnnotation = "deprecated.daemonset.template.generation";
const generationLabel = "pod-template-generation";

/** Taints of nodes that keep no pod of a DaemonSet away. */
const tolerated: readonly Toleration[] = [
  ...["not-ready", "unreachable"].map((name) => toleration(name, "NoExecute")),
  ...["disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"].map((name) =>
    toleration(name, "NoSchedule"),
  ),
];

function toleration(name: string, effect: string): Toleration {
  return { key: `node.kubernetes.io/${name}`, operator: "Exists", effect };
}

function withTolerations(spec: PodSpec): PodSpec {
  const own = spec.tolerations ?? [];
  const more = [...tolerated, ...(spec.hostNetwork ? [toleration("network-unavailable", "NoSchedule")] : [])];
  const missing = more.filter(
    ({ key, effect }) => !own.some((one) => one.key === key && one.effect === effect && one.operator === "Exists"),
  );
  return { ...spec, tolerations: [...own, ...missing] };
}

/** What a node is to a DaemonSet: whether it is to have a pod, and whether one that is there may stay. */
export function standingOf(set: DaemonSet, node: Node): { readonly wanted: boolean; readonly mayStay: boolean } {
  const spec = withTolerations(set.spec.template.spec ?? { containers: [] });
  const { nodeName, ...rest } = spec;
  const pod: Pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "" }, spec: rest };
  if ((nodeName && nodeName !== node.metadata.name) || !nodeAdmits(pod, node)) return { wanted: false, mayStay: false };
  const against = (node.spec.taints ?? []).filter(
    (taint) => taint.effect !== "PreferNoSchedule" && !tolerates(pod, taint),
  );
  return { wanted: against.length === 0, mayStay: against.every(({ effect }) => effect !== "NoExecute") };
}

/** The pod of a DaemonSet for a node. Affinity takes it there, so that the scheduler binds it. */
export function daemonPod(set: DaemonSet, node: string, hash: string): Draft<Pod> {
  const { metadata, spec } = podDraft(set, resources.DaemonSet, set.spec.template);
  const { affinity, ...rest } = withTolerations(spec);
  const generation = set.metadata.annotations?.[generationAnnotation];
  return {
    metadata: {
      ...metadata,
      labels: {
        ...metadata.labels,
        [revisionLabel]: hash,
        ...(generation === undefined ? {} : { [generationLabel]: generation }),
      },
    },
    spec: {
      ...rest,
      affinity: { ...affinity, nodeAffinity: { ...affinity?.nodeAffinity, ...onlyNode(node) } },
    },
  };
}

/** In place of the required terms: that the node meets them was found out before. */
const onlyNode = (node: string) => ({
  requiredDuringSchedulingIgnoredDuringExecution: {
    nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: [node] }] }],
  },
});

/** The node that a pod of a DaemonSet is on, or is for. */
export function nodeOf({ spec }: Pod): string | undefined {
  if (spec.nodeName) return spec.nodeName;
  const terms = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  for (const { matchFields = [] } of terms) {
    const field = matchFields.find(({ key, operator }) => key === "metadata.name" && operator === "In");
    if (field?.values?.length === 1) return field.values[0];
  }
  return undefined;
}
