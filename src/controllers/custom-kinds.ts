import { isConditionTrue, type CustomResourceDefinition, type Resource } from "../kube/index.ts";

/** The kind that a definition serves, in one of its versions; undefined when it serves none. */
export function customKindOf({ spec, status }: CustomResourceDefinition): Resource | undefined {
  const version = spec.versions.find(({ served }) => served)?.name;
  if (version === undefined || !isConditionTrue(status?.conditions, "Established")) return undefined;
  const { kind, plural, singular = "" } = status?.acceptedNames ?? spec.names;
  return {
    group: spec.group,
    version,
    namespaced: spec.scope === "Namespaced",
    kind,
    plural,
    singular,
    shortNames: [],
    categories: [],
    subresources: [],
  };
}
