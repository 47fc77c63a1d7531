import { isConditionTrue } from "../conditions.ts";
import type {
  CustomResourceColumnDefinition,
  CustomResourceDefinition,
  CustomResourceDefinitionSpec,
  CustomResourceDefinitionVersion,
  CustomResourceSubresources,
  CustomResourceValidation,
} from "../generated/types.ts";
import type { CelModule } from "../load-cel.ts";
import { itemsOf, type JsonSchema } from "../structural/json-schema.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { semanticEqual } from "../values/equal.ts";
import { isDns1035Label, isDns1123Subdomain } from "../values/names.ts";
import { validateImmutable } from "../validation/metadata.ts";
import { validateConversion } from "./conversion-validation.ts";
import { schemaAt } from "./field-path.ts";
import { validateSchema } from "./schema-validation.ts";
import { validateNames } from "./status-validation.ts";

const approved = "api-approved.kubernetes.io";

/** The name says group and plural; groups of Kubernetes itself need an approval. */
export function* validateDefinitionMetadata({ metadata, spec }: CustomResourceDefinition): Faults {
  if (metadata.name !== `${spec.names.plural}.${spec.group}`)
    yield fault.invalid("metadata.name", metadata.name, 'must be spec.names.plural+"."+spec.group');
  yield* validateApproval(metadata.annotations ?? {}, spec.group);
}

function* validateApproval(annotations: Readonly<Record<string, string>>, group: string): Faults {
  const isProtected = /(^|\.)(k8s|kubernetes)\.io$/.test(group);
  if (!isProtected) return;
  const value = annotations[approved];
  const path = `metadata.annotations[${approved}]`;
  if (value === undefined || value === "")
    yield fault.required(
      path,
      'protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111',
    );
  else if (!value.startsWith("unapproved") && !URL.canParse(value))
    yield fault.invalid(
      path,
      value,
      `protected groups must have approval annotation "${approved}" with either a URL or a reason starting with "unapproved", see https://github.com/kubernetes/enhancements/pull/1111`,
    );
}

export interface SpecOptions {
  /** Checks rules. Absent: there are none. */
  readonly cel?: CelModule | undefined;
  /** On an update: a version whose schema has not changed is not refused for what it costs. */
  readonly old?: CustomResourceDefinition;
}

/** Faults of a new spec, in the words of apiextensions' `ValidateCustomResourceDefinition`. */
export function* validateSpec({ spec }: CustomResourceDefinition, { old, cel }: SpecOptions = {}): Faults {
  const { group, scope, conversion, preserveUnknownFields } = spec;
  if (!group) yield fault.required("spec.group");
  else {
    const found = isDns1123Subdomain(group);
    if (found.length > 0) yield fault.invalid("spec.group", group, found.join(","));
    else if (!group.includes(".")) yield fault.invalid("spec.group", group, "should be a domain with at least one dot");
  }
  if (!scope) yield fault.required("spec.scope");
  else if (scope !== "Cluster" && scope !== "Namespaced")
    yield fault.notSupported("spec.scope", scope, ["Cluster", "Namespaced"]);
  const shared = sharedParts(spec.versions);
  const versions = shared.versions;
  if (!shared.schema?.openAPIV3Schema)
    for (const [i, version] of versions.entries())
      if (!version.schema?.openAPIV3Schema) yield fault.required(`spec.versions[${i}].schema.openAPIV3Schema`);
  const changed = (
    { name }: CustomResourceDefinitionVersion,
    schema: CustomResourceValidation | undefined,
  ): boolean => {
    const before = old?.spec.versions.find((version) => version.name === name);
    return !before || !semanticEqual(before.schema, schema);
  };
  for (const [i, version] of versions.entries()) {
    const found = isDns1035Label(version.name);
    if (found.length > 0) yield fault.invalid(`spec.versions[${i}].name`, version.name, found.join(","));
    for (const text of deprecationFaults(version.deprecated ?? false, version.deprecationWarning))
      yield fault.invalid(`spec.versions[${i}].deprecationWarning`, version.deprecationWarning, text);
    const hasStatus = (version.subresources ?? shared.subresources)?.status !== undefined;
    const costs = changed(version, version.schema);
    yield* validateParts(version, { path: `spec.versions[${i}]`, schema: "schema", hasStatus, cel, costs });
  }
  const names = versions.map(({ name }) => name);
  if (new Set(names).size < names.length)
    yield fault.invalid("spec.versions", versions.map(shownVersion), "must contain unique version names");
  if (versions.filter(({ storage }) => storage).length !== 1)
    yield fault.invalid(
      "spec.versions",
      versions.map(shownVersion),
      "must have exactly one version marked as storage version",
    );
  const [first] = names;
  if (first !== undefined) {
    const found = isDns1035Label(first);
    if (found.length > 0) yield fault.invalid("spec.version", first, found.join(","));
  }
  for (const field of ["plural", "singular", "kind", "listKind"] as const)
    if (!spec.names[field]) yield fault.required(`spec.names.${field}`);
  yield* validateNames(spec.names, "spec.names");
  const hasStatus = spec.versions.some(({ subresources }) => subresources?.status !== undefined);
  const costs = spec.versions.some((version) => changed(version, shared.schema));
  yield* validateParts(shared, { path: "spec", schema: "validation", hasStatus, cel, costs });
  if (conversion) yield* validateConversion(conversion, "spec.conversion", old !== undefined && isUp(old));
  if (preserveUnknownFields && !old?.spec.preserveUnknownFields)
    yield fault.invalid(
      "spec.preserveUnknownFields",
      true,
      "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
    );
}

const isUp = ({ status }: CustomResourceDefinition): boolean => isConditionTrue(status?.conditions, "Established");

/** Faults of a changed spec. Scope and kind stay once objects can be there. */
export function* validateSpecUpdate(
  definition: CustomResourceDefinition,
  old: CustomResourceDefinition,
  cel?: CelModule,
): Faults {
  const { spec } = definition;
  // A spec that was accepted once is not refused when something else is written.
  if (!semanticEqual(spec, old.spec)) yield* validateSpec(definition, { old, cel });
  const unchanged = (field: string, of: (spec: CustomResourceDefinitionSpec) => unknown): Faults =>
    validateImmutable(of(spec), of(old.spec), `spec.${field}`);
  if (isUp(old)) {
    yield* unchanged("scope", ({ scope }) => scope);
    yield* unchanged("names.kind", ({ names }) => names.kind);
  }
  yield* unchanged("group", ({ group }) => group);
  yield* unchanged("names.plural", ({ names }) => names.plural);
}

/** What a version may say of its objects. */
type VersionParts = Pick<
  CustomResourceDefinitionVersion,
  "schema" | "subresources" | "additionalPrinterColumns" | "selectableFields"
>;

/**
 * What all versions say alike, and what is left of each. Faults are found in a definition as apiextensions holds it inside:
 * there what all versions share stands once, in `spec.validation`, `spec.subresources` and so on, and faults have these paths.
 */
function sharedParts(
  given: readonly CustomResourceDefinitionVersion[],
): VersionParts & { readonly versions: readonly CustomResourceDefinitionVersion[] } {
  const [first] = given;
  const versions = given.map((version) => ({ ...version }));
  const shared: VersionParts = {};
  for (const part of ["schema", "subresources", "additionalPrinterColumns", "selectableFields"] as const) {
    const value = first?.[part];
    if (value === undefined || !given.every((version) => semanticEqual(version[part], value))) continue;
    Object.assign(shared, { [part]: value });
    for (const version of versions) delete version[part];
  }
  return { ...shared, versions };
}

/** A version as Go shows it. */
function shownVersion(version: CustomResourceDefinitionVersion): object {
  return {
    Name: version.name,
    Served: version.served,
    Storage: version.storage,
    Deprecated: version.deprecated ?? false,
    DeprecationWarning: version.deprecationWarning ?? null,
    Schema: version.schema ?? null,
    Subresources: version.subresources ?? null,
    AdditionalPrinterColumns: version.additionalPrinterColumns ?? null,
    SelectableFields: version.selectableFields ?? null,
  };
}

interface PartsPlace {
  readonly path: string;
  /** What the schema is called there. */
  readonly schema: "schema" | "validation";
  readonly hasStatus: boolean;
  readonly cel: CelModule | undefined;
  readonly costs: boolean;
}

function* validateParts(parts: VersionParts, place: PartsPlace): Faults {
  const { subresources, additionalPrinterColumns = [] } = parts;
  const { path, schema, hasStatus, cel, costs } = place;
  const root = parts.schema?.openAPIV3Schema as JsonSchema | undefined;
  if (root) yield* validateSchema(root, `${path}.${schema}.openAPIV3Schema`, { hasStatus, cel, costs });
  if (subresources) yield* validateSubresources(subresources, `${path}.subresources`);
  for (const [i, column] of additionalPrinterColumns.entries())
    yield* validateColumn(column, `${path}.additionalPrinterColumns[${i}]`);
  yield* validateSelectableFields(parts, root, `${path}.selectableFields`);
}

function* deprecationFaults(deprecated: boolean, warning: string | undefined): Generator<string> {
  if (warning === undefined) return;
  if (!deprecated) {
    yield "can only be set for deprecated versions";
    return;
  }
  if (Buffer.byteLength(warning) > 256) yield "must be <= 256 characters long";
  if (warning === "") yield "must not be an empty string";
  const hidden = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.exec(warning);
  if (hidden)
    yield `must only contain printable UTF-8 characters; non-printable character found at index ${Buffer.byteLength(warning.slice(0, hidden.index))}`;
}

function* validateSubresources({ scale }: CustomResourceSubresources, path: string): Faults {
  if (!scale) return;
  yield* scalePath(scale.specReplicasPath, `${path}.scale.specReplicasPath`, [".spec."]);
  yield* scalePath(scale.statusReplicasPath, `${path}.scale.statusReplicasPath`, [".status."]);
  if (scale.labelSelectorPath)
    yield* scalePath(scale.labelSelectorPath, `${path}.scale.labelSelectorPath`, [".spec.", ".status."]);
}

function* scalePath(value: string, path: string, roots: readonly string[]): Faults {
  if (!value) {
    yield fault.required(path);
    return;
  }
  const found = [...simplePath(value, path)];
  yield* found;
  if (found.length > 0 || roots.some((root) => value.startsWith(root))) return;
  const where = roots.map((root) => root.slice(0, -1));
  yield fault.invalid(
    path,
    value,
    where.length === 1
      ? `should be a json path under ${where[0]}`
      : `should be a json path under either ${where.join(" or ")}`,
  );
}

function* simplePath(value: string, path: string): Faults {
  if (!value.startsWith(".")) yield fault.invalid(path, value, "must be a simple json path starting with .");
}

const columnTypes = ["boolean", "date", "integer", "number", "string"];
const columnFormats = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

function* validateColumn({ name, type, format, jsonPath }: CustomResourceColumnDefinition, path: string): Faults {
  if (!name) yield fault.required(`${path}.name`);
  const oneOf = (list: readonly string[]): string => `must be one of ${list.join(",")}`;
  if (!type) yield fault.required(`${path}.type`, oneOf(columnTypes));
  else if (!columnTypes.includes(type)) yield fault.invalid(`${path}.type`, type, oneOf(columnTypes));
  if (format && !columnFormats.includes(format)) yield fault.invalid(`${path}.format`, format, oneOf(columnFormats));
  if (!jsonPath) yield fault.required(`${path}.JSONPath`);
  else yield* simplePath(jsonPath, `${path}.JSONPath`);
}

const mostSelectable = 8;

function* validateSelectableFields(
  { selectableFields = [] }: VersionParts,
  root: JsonSchema | undefined,
  path: string,
): Faults {
  if (selectableFields.length === 0) return;
  if (!root) {
    yield fault.invalid(path, "", "may only be set when `version.schema.openAPIV3Schema` is not included");
    return;
  }
  const seen = new Set<string>();
  for (const [i, { jsonPath }] of selectableFields.entries()) {
    const at = `${path}[${i}].jsonPath`;
    if (!jsonPath) {
      yield fault.required(at);
      continue;
    }
    const found = schemaAt(jsonPath, root, { brackets: false });
    if ("problem" in found) {
      yield fault.invalid(at, jsonPath, `is an invalid path: ${found.problem}`);
      continue;
    }
    if (found.path[0] === "metadata") yield fault.invalid(at, jsonPath, "must not point to fields in metadata");
    const { type } = found.schema;
    if (itemsOf(found.schema) || (type !== "string" && type !== "boolean" && type !== "integer"))
      yield fault.invalid(
        at,
        jsonPath,
        "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
      );
    const name = found.path.join(".");
    if (seen.has(name)) yield fault.duplicate(at, jsonPath);
    seen.add(name);
  }
  if (seen.size > mostSelectable) yield fault.tooMany(path, seen.size, mostSelectable);
}
