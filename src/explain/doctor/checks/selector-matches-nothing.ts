import { includesLabels, keyOf, type Pod } from "../../../kube/index.ts";
import { isOver } from "../../cluster.ts";
import { nearest } from "../../error.ts";
import { type Check, some } from "../check.ts";

/** The commonest fault of all: labels that no pod has. The pods that come nearest say which label is meant. */
export const selectorMatchesNothing: Check = {
  code: "selector-matches-nothing",
  about: "a Service whose selector no pod has the labels for",
  reads: "Services, Pods",
  *run({ services, cluster }) {
    const pods = cluster.objects.pods.filter((pod) => !isOver(pod));
    for (const { service, object, pods: selected } of services) {
      const wanted = Object.entries(service.spec.selector ?? {});
      if (wanted.length === 0 || selected.length > 0 || service.spec.type === "ExternalName") continue;
      const { namespace = "" } = service.metadata;
      const here = pods.filter((pod) => pod.metadata.namespace === namespace);
      const near = nearestPods(here, wanted);
      const elsewhere = pods.filter(
        (pod) => pod.metadata.namespace !== namespace && includesLabels(service.spec.selector, pod.metadata.labels),
      );
      const selector = wanted.map(([key, value]) => `${key}=${value}`).join(",");
      yield {
        severity: "error",
        object,
        field: "spec.selector",
        problem: `no pod in namespace ${namespace} has the labels ${selector}`,
        evidence: [
          `pods in ${namespace}: ${here.length}`,
          ...near.map(({ pod, differs }) => `pod ${keyOf(pod)} would, but for ${differs.join(", ")}`),
          ...(elsewhere.length > 0
            ? [`pods with these labels in other namespaces: ${some(elsewhere.map(keyOf))}`]
            : []),
        ],
        remedy: near[0]
          ? `correct the selector or the pods' labels: ${near[0].differs.join(", ")}`
          : elsewhere.length > 0
            ? "a Service selects only in its own namespace: create it there"
            : "start the pods, or correct the selector",
      };
    }
  },
};

/** Pods that lack little: for each difference, what they have in its place. One pod for each set of differences. */
function nearestPods(pods: readonly Pod[], wanted: readonly (readonly [string, string])[]) {
  const found = new Map<string, { pod: Pod; differs: string[]; score: number }>();
  for (const pod of pods) {
    const labels = pod.metadata.labels ?? {};
    let score = 0;
    const differs: string[] = [];
    for (const [key, value] of wanted) {
      const has = labels[key];
      if (has === value) score += 2;
      else if (has !== undefined) {
        if (nearest(value, [has]).length > 0) score += 1;
        differs.push(`${key} is ${JSON.stringify(has)}, not ${JSON.stringify(value)}`);
      } else {
        const alike = Object.entries(labels).find(
          ([name, other]) => other === value || nearest(key, [name]).length > 0,
        );
        if (alike) score += 1;
        differs.push(alike ? `it has ${alike[0]}=${alike[1]}, not ${key}=${value}` : `it has no label ${key}`);
      }
    }
    const id = differs.join();
    if (score > 0 && !found.has(id)) found.set(id, { pod, differs, score });
  }
  return [...found.values()].sort((a, b) => b.score - a.score).slice(0, 3);
}
