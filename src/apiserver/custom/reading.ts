import {
  applyDefaults,
  cloneJson,
  dropNulls,
  prune,
  structure,
  type JsonSchema,
  type NamedDefinition,
  type Resource,
} from "../../kube/index.ts";

const objectMeta: NamedDefinition = {
  name: "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
  definition: { $ref: "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" },
};

/** Metadata in canonical form, and the fields that no metadata has. Throws StructureError. */
function readMetadata(value: unknown): ReturnType<typeof structure> {
  const holder = structure({ definition: { properties: { metadata: objectMeta.definition } } }, { metadata: value });
  return { value: (holder.value["metadata"] ?? {}) as Record<string, unknown>, unknown: holder.unknown };
}

/** How custom resources of a schema are read: metadata as of every object, fields that are not named left out, defaults filled in. */
export function readerFor(schema: JsonSchema): NonNullable<Resource["reads"]> {
  return (given) => {
    const value = cloneJson(given) as Record<string, unknown>;
    const metadata = readMetadata(value["metadata"] ?? {});
    const removed = prune(value, schema);
    dropNulls(value, schema);
    applyDefaults(value, schema);
    value["metadata"] = metadata.value;
    return { value, unknown: [...metadata.unknown, ...removed] };
  };
}
