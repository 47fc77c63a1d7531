/**
 * Structure of one API type: as in the Kubernetes OpenAPI v2 document, or as a CustomResourceDefinition gives it (then with keywords of
 * OpenAPI v3, of which only those that say how values are put together are named here).
 */
export interface Definition {
  readonly type?: "object" | "array" | "string" | "integer" | "number" | "boolean";
  readonly format?: string;
  readonly $ref?: string;
  readonly items?: Definition;
  readonly properties?: Readonly<Record<string, Definition>>;
  readonly additionalProperties?: Definition;
  readonly required?: readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly nullable?: boolean;
  readonly enum?: readonly unknown[];
  /** Fields that are not named are kept. */
  readonly "x-kubernetes-preserve-unknown-fields"?: boolean;
  /** An integer or a string. */
  readonly "x-kubernetes-int-or-string"?: boolean;
  /** A whole object, with apiVersion, kind and metadata. */
  readonly "x-kubernetes-embedded-resource"?: boolean;
  readonly "x-kubernetes-list-type"?: "atomic" | "set" | "map";
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
  readonly "x-kubernetes-map-type"?: "atomic" | "granular";
  readonly "x-kubernetes-patch-strategy"?: string;
  readonly "x-kubernetes-patch-merge-key"?: string;
  readonly "x-kubernetes-group-version-kind"?: readonly { group: string; version: string; kind: string }[];
}
