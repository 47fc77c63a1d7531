import {
  findCondition,
  semanticEqual,
  setCondition,
  type CustomResourceDefinition,
  type CustomResourceDefinitionCondition,
  type CustomResourceDefinitionNames,
} from "../../kube/index.ts";

/** Names in use in a group: those that are part of URLs or that kubectl takes, and those of kinds. */
export interface TakenNames {
  readonly resources: ReadonlySet<string>;
  readonly kinds: ReadonlySet<string>;
}

/** The names that CustomResourceDefinitions of a group have been given. */
export function namesTaken(definitions: Iterable<CustomResourceDefinition>, group: string): TakenNames {
  const resources = new Set<string>();
  const kinds = new Set<string>();
  for (const { spec, status } of definitions) {
    const names = status?.acceptedNames;
    if (spec.group !== group || !names) continue;
    for (const name of [names.plural, names.singular ?? "", ...(names.shortNames ?? [])]) if (name) resources.add(name);
    for (const name of [names.kind, names.listKind ?? ""]) if (name) kinds.add(name);
  }
  return { resources, kinds };
}

/** What the status says of the names: those that a definition has got, and whether that is all it asks for. */
export interface NamesOutcome {
  readonly acceptedNames: CustomResourceDefinitionNames;
  readonly condition: Omit<CustomResourceDefinitionCondition, "lastTransitionTime">;
}

/** Gives a definition the names that nobody else has, as apiextensions' naming controller. */
export function acceptNames({ spec, status }: CustomResourceDefinition, taken: TakenNames): NamesOutcome {
  const wanted = spec.names;
  const had = status?.acceptedNames ?? { plural: "", kind: "" };
  const accepted: CustomResourceDefinitionNames = { ...had };
  let condition: NamesOutcome["condition"] = {
    type: "NamesAccepted",
    status: "True",
    reason: "NoConflicts",
    message: "no conflicts found",
  };
  const refuse = (reason: string, message: string): void => {
    condition = { type: "NamesAccepted", status: "False", reason, message };
  };
  const inUse = (name: string): string => `${JSON.stringify(name)} is already in use`;
  const take = (
    field: "plural" | "singular" | "kind" | "listKind",
    names: ReadonlySet<string>,
    reason: string,
  ): void => {
    const name = wanted[field] ?? "";
    if (name !== (had[field] ?? "") && names.has(name)) refuse(reason, inUse(name));
    else accepted[field] = name;
  };
  take("plural", taken.resources, "PluralConflict");
  take("singular", taken.resources, "SingularConflict");
  if (!semanticEqual(wanted.shortNames, had.shortNames)) {
    const lost = (wanted.shortNames ?? []).filter(
      (name) => !had.shortNames?.includes(name) && taken.resources.has(name),
    );
    const shown = lost.map(inUse);
    if (lost.length > 0) refuse("ShortNamesConflict", shown.length === 1 ? shown.join() : `[${shown.join(", ")}]`);
    else if (wanted.shortNames) accepted.shortNames = wanted.shortNames;
    else delete accepted.shortNames;
  }
  take("kind", taken.kinds, "KindConflict");
  take("listKind", taken.kinds, "ListKindConflict");
  if (wanted.categories) accepted.categories = wanted.categories;
  else delete accepted.categories;
  return { acceptedNames: accepted, condition };
}

/** The status after the names were looked at: what is not established yet is being installed, or waits for its names. */
export function statusWithNames(
  definition: CustomResourceDefinition,
  { acceptedNames, condition }: NamesOutcome,
  now: string,
): NonNullable<CustomResourceDefinition["status"]> {
  const old = definition.status?.conditions;
  const established = findCondition(old, "Established");
  const isUp = established?.status === "True";
  const notYet =
    condition.status === "True"
      ? { reason: "Installing", message: "the initial names have been accepted" }
      : { reason: "NotAccepted", message: "not all names are accepted" };
  const withNames = setCondition(old, condition, now);
  const conditions = isUp
    ? withNames
    : setCondition(withNames, { type: "Established", status: "False", ...notYet }, now);
  return { ...definition.status, acceptedNames, conditions: [...conditions] };
}
