import type { Resource } from "../../kube/index.ts";

const group = { group: "metrics.k8s.io", version: "v1beta1", shortNames: [], categories: [], subresources: [] };

/** What nodes and pods use, as `kubectl top` asks for it (k8s.io/metrics). Made when asked, not stored. */
export const metricsKinds: readonly Resource[] = [
  { ...group, kind: "NodeMetrics", plural: "nodes", singular: "", namespaced: false },
  { ...group, kind: "PodMetrics", plural: "pods", singular: "", namespaced: true },
];

export const metricsGroup = group.group;
