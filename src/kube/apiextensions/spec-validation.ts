import { isConditionTrue } from "../conditions.ts";
import type {
  CustomResourceColumnDefinition,
  CustomResourceDefinition,
  CustomResourceDefinitionSpec,
  CustomResourceDefinitionVersion,
  CustomResourceSubresources,
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
  const { group, scope, names, versions, conversion, preserveUnknownFields } = spec;
  if (!group) yield fault.required("spec.group");
  else {
    const found = isDns1123Subdomain(group);
    if (found.length > 0) yield fault.invalid("spec.group", group, found.join(","));
    else if (!group.includes(".")) yield fault.invalid("spec.group", group, "should be a domain with at least one dot");
  }
  if (!scope) yield fault.required("spec.scope");
  else if (scope !== "Cluster" && scope !== "Namespaced")
    yield fault.notSupported("spec.scope", scope, ["Cluster", "Namespaced"]);
  for (const [i, version] of versions.entries()) {
    if (!version.schema?.openAPIV3Schema) yield fault.required(`spec.versions[${i}].schema.openAPIV3Schema`);
  }
  for (const [i, version] of versions.entries()) {
    const found = isDns1035Label(version.name);
    if (found.length > 0) yield fault.invalid(`spec.versions[${i}].name`, version.name, found.join(","));
    const before = old?.spec.versions.find(({ name }) => name === version.name);
    const costs = !before || !semanticEqual(before.schema, version.schema);
    yield* validateVersion(version, `spec.versions[${i}]`, cel, costs);
  }
  const listed = versions.map(({ name }) => name);
  if (new Set(listed).size < listed.length)
    yield fault.invalid("spec.versions", versions, "must contain unique version names");
  if (versions.filter(({ storage }) => storage).length !== 1)
    yield fault.invalid("spec.versions", versions, "must have exactly one version marked as storage version");
  for (const field of ["plural", "singular", "kind", "listKind"] as const)
    if (!names[field]) yield fault.required(`spec.names.${field}`);
  yield* validateNames(names, "spec.names");
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

function* validateVersion(
  version: CustomResourceDefinitionVersion,
  path: string,
  cel: CelModule | undefined,
  costs: boolean,
): Faults {
  const { deprecated, deprecationWarning, schema, subresources, additionalPrinterColumns = [] } = version;
  for (const text of deprecationFaults(deprecated ?? false, deprecationWarning))
    yield fault.invalid(`${path}.deprecationWarning`, deprecationWarning, text);
  const root = schema?.openAPIV3Schema as JsonSchema | undefined;
  if (root)
    yield* validateSchema(root, `${path}.schema.openAPIV3Schema`, {
      hasStatus: subresources?.status !== undefined,
      cel,
      costs,
    });
  if (subresources) yield* validateSubresources(subresources, `${path}.subresources`);
  for (const [i, column] of additionalPrinterColumns.entries())
    yield* validateColumn(column, `${path}.additionalPrinterColumns[${i}]`);
  yield* validateSelectableFields(version, root, `${path}.selectableFields`);
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
  { selectableFields = [] }: CustomResourceDefinitionVersion,
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
