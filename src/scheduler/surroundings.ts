import type { Pod } from "../kube/index.ts";
import type { StorageObjects } from "./volumes.ts";

/** Labels of a namespace; undefined when there is none of that name. */
export type NamespaceLabels = (namespace: string) => Readonly<Record<string, string>> | undefined;

/** What else of the cluster placing a pod depends on. */
export interface Surroundings {
  readonly namespaceLabels: NamespaceLabels;
  /** Tells pods that have the same owner as this one or serve the same Service, so that they are better kept apart. */
  readonly relatedTo: (pod: Pod) => (other: Pod) => boolean;
  readonly storage: StorageObjects;
}
