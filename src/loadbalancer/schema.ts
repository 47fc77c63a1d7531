import type { Resource } from "../kube/index.ts";

/** Pieces of structural schemas, as custom resource definitions have them. */
export type Schema = Record<string, unknown>;
export const text = (most = 253): Schema => ({ type: "string", maxLength: most });
export const list = (items: Schema, most: number): Schema => ({ type: "array", items, maxItems: most });
export const record = (properties: Schema, required: string[] = []): Schema => ({
  type: "object",
  properties,
  ...(required.length > 0 ? { required } : {}),
});
export const whole = (minimum: number, maximum: number): Schema => ({ type: "integer", minimum, maximum });
export const oneOf = (...values: string[]): Schema => ({ type: "string", enum: values });

export const labelSelector = record({
  matchLabels: { type: "object", additionalProperties: text() },
  matchExpressions: list(
    record({ key: text(), operator: oneOf("In", "NotIn", "Exists", "DoesNotExist"), values: list(text(), 64) }, [
      "key",
      "operator",
    ]),
    32,
  ),
});

export const condition = record(
  {
    type: text(),
    status: oneOf("True", "False", "Unknown"),
    reason: text(),
    message: text(32_768),
    lastTransitionTime: { type: "string", format: "date-time" },
    observedGeneration: { type: "integer", format: "int64" },
  },
  ["type", "status"],
);

export const conditions = {
  ...list(condition, 16),
  "x-kubernetes-list-type": "map",
  "x-kubernetes-list-map-keys": ["type"],
};

export const column = (name: string, jsonPath: string, type = "string") => ({ name, jsonPath, type });

/** A definition in its only version, cluster-scoped. */
export function definitionOf(resource: Resource, schema: Schema, columns: object[]): object {
  const { group, version, kind, plural, singular, shortNames } = resource;
  return {
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: "Cluster",
      names: { kind, plural, singular, listKind: `${kind}List`, shortNames },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: { openAPIV3Schema: schema },
          additionalPrinterColumns: columns,
        },
      ],
    },
  };
}
