import type { Affinity, LabelSelector, NodeSelectorTerm, PodSpec } from "../generated/types.ts";

/** Labels of nodes that have other names now. */
const oldLabels: Readonly<Record<string, string>> = {
  "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
  "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
  "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
  "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
  "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
};

const oldLabel = (key: string): string | undefined => (Object.hasOwn(oldLabels, key) ? oldLabels[key] : undefined);

/** Warnings about old labels by which a pod chooses nodes. `path` is where its spec stands. */
export function nodeChoiceWarnings(
  { nodeSelector, affinity, topologySpreadConstraints }: PodSpec,
  path: string,
): string[] {
  const selected = Object.keys(nodeSelector ?? {}).flatMap((key) => {
    const text = oldLabel(key);
    return text ? [`${path}.nodeSelector[${key}]: ${text}`] : [];
  });
  const at = `${path}.affinity.nodeAffinity`;
  const { requiredDuringSchedulingIgnoredDuringExecution: required, preferredDuringSchedulingIgnoredDuringExecution } =
    affinity?.nodeAffinity ?? {};
  const terms = (required?.nodeSelectorTerms ?? []).flatMap((term, i) =>
    termWarnings(term, `${at}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[${i}]`),
  );
  const preferred = (preferredDuringSchedulingIgnoredDuringExecution ?? []).flatMap(({ preference }, i) =>
    termWarnings(preference, `${at}.preferredDuringSchedulingIgnoredDuringExecution[${i}].preference`),
  );
  const spread = (topologySpreadConstraints ?? []).flatMap(({ topologyKey, labelSelector }, i) => {
    const here = `${path}.topologySpreadConstraints[${i}]`;
    const text = oldLabel(topologyKey);
    return [
      ...(text ? [`${here}.topologyKey: ${topologyKey} is ${text}`] : []),
      ...selectorWarnings(labelSelector, `${here}.labelSelector`),
    ];
  });
  return [...selected, ...terms, ...preferred, ...spread];
}

function termWarnings({ matchExpressions = [] }: NodeSelectorTerm, path: string): string[] {
  return matchExpressions.flatMap(({ key }, i) => {
    const text = oldLabel(key);
    return text ? [`${path}.matchExpressions[${i}].key: ${key} is ${text}`] : [];
  });
}

/** Warnings about terms of pod affinity that no pod can meet. `path` is where the pod's spec stands. */
export function podAffinityWarnings(affinity: Affinity | undefined, path: string): string[] {
  return (["podAffinity", "podAntiAffinity"] as const).flatMap((field) => {
    const at = `${path}.affinity.${field}`;
    const {
      requiredDuringSchedulingIgnoredDuringExecution: required,
      preferredDuringSchedulingIgnoredDuringExecution,
    } = affinity?.[field] ?? {};
    return [
      ...(required ?? []).flatMap(({ labelSelector }, i) =>
        selectorWarnings(labelSelector, `${at}.requiredDuringSchedulingIgnoredDuringExecution[${i}].labelSelector`),
      ),
      ...(preferredDuringSchedulingIgnoredDuringExecution ?? []).flatMap(({ podAffinityTerm }, i) =>
        selectorWarnings(
          podAffinityTerm.labelSelector,
          `${at}.preferredDuringSchedulingIgnoredDuringExecution[${i}].podAffinityTerm.labelSelector`,
        ),
      ),
    ];
  });
}

const selectorWarnings = (selector: LabelSelector | undefined, path: string): string[] =>
  selector ? [] : [`${path}: a null labelSelector results in matching no pod`];
