import {
  applyDefaults,
  cloneJson,
  dropNulls,
  prune,
  readMetadata,
  type JsonSchema,
  type Resource,
} from "../../kube/index.ts";

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
