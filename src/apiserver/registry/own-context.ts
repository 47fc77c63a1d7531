import { strategyFor, type Resource } from "../../kube/index.ts";
import type { WriteContext } from "./admission.ts";

/** A write of a built-in kind by the API server itself. */
export function ownContext(resource: Resource, namespace: string): WriteContext {
  return {
    user: { name: "system:apiserver", groups: ["system:masters"] },
    resource,
    strategy: strategyFor(resource),
    namespace,
    subresource: "",
    dryRun: false,
    warn: () => {},
  };
}
