import {
  definitionFor,
  type CustomResourceDefinition,
  type CustomResourceDefinitionVersion,
  type JsonSchema,
  type Resource,
} from "../../kube/index.ts";
import type { Egress } from "../egress/index.ts";
import { scalePathsOf, type Served } from "../resources/index.ts";
import { createConversion } from "./conversion.ts";
import { webhookOf } from "./conversion-webhook.ts";
import { printerFor } from "./printer.ts";
import { readerFor } from "./reading.ts";
import { lazyRules } from "./rules.ts";
import { customStrategy } from "./strategy.ts";

/** The kind that a version of a definition makes. */
export function resourceOf(
  { spec, status }: CustomResourceDefinition,
  version: CustomResourceDefinitionVersion,
): Resource {
  const names = status?.acceptedNames ?? spec.names;
  const { subresources } = version;
  const schema = schemaOf(spec.preserveUnknownFields ?? false, version);
  return {
    group: spec.group,
    version: version.name,
    kind: names.kind,
    plural: names.plural,
    singular: names.singular ?? "",
    namespaced: spec.scope === "Namespaced",
    shortNames: names.shortNames ?? [],
    categories: names.categories ?? [],
    subresources: [...(subresources?.status ? ["status"] : []), ...(subresources?.scale ? ["scale"] : [])],
    reads: readerFor(schema),
  };
}

/** A version without a schema takes everything. */
function schemaOf(preserves: boolean, { schema }: CustomResourceDefinitionVersion): JsonSchema {
  const own = schema?.openAPIV3Schema as JsonSchema | undefined;
  if (own && !preserves) return own;
  return { ...own, type: "object", "x-kubernetes-preserve-unknown-fields": true };
}

export interface KindsOptions {
  readonly egress: Egress;
  /** Objects written after this revision are as the definition wants them. */
  readonly since: number;
}

/** In the order in which discovery of custom resources tells them. */
const customVerbs: Served["verbs"] = [
  "delete",
  "deletecollection",
  "get",
  "list",
  "patch",
  "create",
  "update",
  "watch",
];

/** What a definition serves: one collection for each version that it serves. */
export function servedOf(definition: CustomResourceDefinition, { egress, since }: KindsOptions): Served[] {
  const { spec } = definition;
  const storage = spec.versions.find((version) => version.storage);
  if (!storage) return [];
  const stored = resourceOf(definition, storage);
  const schemas = new Map(
    spec.versions.map((version) => [version.name, schemaOf(spec.preserveUnknownFields ?? false, version)]),
  );
  const convert = webhookOf(definition, egress);
  return spec.versions
    .filter((version) => version.served)
    .map((version): Served => {
      const resource = resourceOf(definition, version);
      const schema = schemas.get(version.name) ?? { type: "object" };
      const { scale } = version.subresources ?? {};
      let named: ReturnType<Served["schema"]>;
      return {
        resource,
        stored,
        verbs: customVerbs,
        returnsDeleted: false,
        strategy: customStrategy({
          namespaced: resource.namespaced,
          version,
          schema,
          rules: lazyRules(schema),
        }),
        schema: () => (named ??= definitionFor(resource, schema)),
        conversion: createConversion({ resource, stored, schemas, since, ...(convert ? { convert } : {}) }),
        printer: printerFor(version),
        ...(scale ? { scale: scalePathsOf(scale) } : {}),
        ...(version.deprecated ? { deprecation: deprecationOf(resource, version) } : {}),
      };
    });
}

function deprecationOf(
  { group, kind }: Resource,
  { name, deprecationWarning }: CustomResourceDefinitionVersion,
): string {
  return deprecationWarning ?? `${group}/${name} ${kind} is deprecated`;
}
