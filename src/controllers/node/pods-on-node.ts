import type { Pod } from "../../kube/index.ts";

/** Index of pods by the name of their node; those without one by "". */
export const nodeIndex = { node: ({ spec }: Pod): readonly string[] => [spec.nodeName ?? ""] };
