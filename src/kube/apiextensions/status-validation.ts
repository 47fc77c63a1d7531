import type { CustomResourceDefinition, CustomResourceDefinitionNames } from "../generated/types.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { isDns1035Label } from "../values/names.ts";

/** Faults of the status; the stored versions are held against the spec only where the spec is written. */
export function* validateStatus(
  { spec, status = {} }: CustomResourceDefinition,
  { storedVersions = true } = {},
): Faults {
  if (status.acceptedNames) yield* validateNames(status.acceptedNames, "status.acceptedNames");
  if (!storedVersions) return;
  const path = "status.storedVersions";
  const stored = status.storedVersions ?? [];
  const { versions } = spec;
  if (stored.length === 0) {
    yield fault.invalid(path, null, "must have at least one stored version");
    return;
  }
  for (const { name, storage } of versions)
    if (storage && !stored.includes(name)) yield fault.invalid(path, stored, `must have the storage version ${name}`);
  for (const [i, name] of stored.entries()) {
    if (versions.some((version) => version.name === name)) continue;
    yield fault.invalid(
      `${path}[${i}]`,
      name,
      `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage ` +
        `migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`,
    );
  }
}

/** Faults of the names of a kind; an empty name is none. */
export function* validateNames(names: CustomResourceDefinitionNames, path: string): Faults {
  const { plural, singular = "", kind, listKind = "", shortNames = [], categories = [] } = names;
  const label = (field: string, value: string, checked = value, before = ""): Faults => {
    const found = value ? isDns1035Label(checked) : [];
    return found.length > 0 ? [fault.invalid(`${path}.${field}`, value, `${before}${found.join(",")}`)] : [];
  };
  const mixed = "may have mixed case, but should otherwise match: ";
  yield* label("plural", plural);
  yield* label("singular", singular);
  yield* label("kind", kind, kind.toLowerCase(), mixed);
  yield* label("listKind", listKind, listKind.toLowerCase(), mixed);
  const list = (field: string, values: readonly string[]): Faults =>
    values.flatMap((value, i) => {
      const found = isDns1035Label(value);
      return found.length > 0 ? [fault.invalid(`${path}.${field}[${i}]`, value, found.join(","))] : [];
    });
  yield* list("shortNames", shortNames);
  if (kind && kind === listKind)
    yield fault.invalid(`${path}.listKind`, listKind, "kind and listKind may not be the same");
  yield* list("categories", categories);
}
