import type { Resource } from "../../kube/index.ts";
import type { WriteContext } from "./registry.ts";

/** A write by the API server itself. */
export function ownContext(resource: Resource, namespace: string): WriteContext {
  return {
    user: { name: "system:apiserver", groups: ["system:masters"] },
    resource,
    namespace,
    subresource: "",
    dryRun: false,
    warn: () => {},
  };
}
