import type { Pod } from "../kube/index.ts";

/** What the pod's PriorityClass is worth: admission has written it into the spec. */
export const priorityOf = ({ spec }: Pod): number => spec.priority ?? 0;
