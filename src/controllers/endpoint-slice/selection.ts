import type { Informer } from "../../client/index.ts";
import { includesLabels, type Pod, type Service } from "../../kube/index.ts";

const pair = (namespace: string | undefined, key: string, value: string): string =>
  `${namespace ?? ""} ${key}=${value}`;

/** Index of Services by the first pair of their selector: a Service that selects a pod is found by one of its labels. */
export const selectorIndex = {
  "first pair of selector": ({ metadata, spec }: Service): readonly string[] => {
    const [first] = Object.entries(spec?.selector ?? {});
    return first ? [pair(metadata.namespace, ...first)] : [];
  },
};

/** Index of pods by their labels. */
export const labelIndex = {
  label: ({ metadata }: Pod): readonly string[] =>
    Object.entries(metadata.labels ?? {}).map(([key, value]) => pair(metadata.namespace, key, value)),
};

/** All pods a Service selects, in the order of their names. `pods` must have `labelIndex`. */
export function podsSelectedBy(pods: Informer<Pod>, { metadata, spec }: Service): Pod[] {
  const [first] = Object.entries(spec?.selector ?? {});
  if (!first) return [];
  return pods
    .by("label", pair(metadata.namespace, ...first))
    .filter((pod) => includesLabels(spec?.selector, pod.metadata.labels))
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

/** All Services that select a pod. `services` must have `selectorIndex`. */
export function servicesSelecting(services: Informer<Service>, { metadata }: Pod): Service[] {
  return Object.entries(metadata.labels ?? {})
    .flatMap(([key, value]) => services.by("first pair of selector", pair(metadata.namespace, key, value)))
    .filter(({ spec }) => includesLabels(spec?.selector, metadata.labels));
}
