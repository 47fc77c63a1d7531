import {
  applyDefaults,
  compileJsonPath,
  dropNulls,
  isDns1123Subdomain,
  isQualifiedName,
  prune,
  semanticEqual,
  validateEmbedded,
  validateListTypes,
  validateMetadata,
  validateMetadataUpdate,
  validateValue,
  type CustomResourceDefinitionVersion,
  type FieldError,
  type JsonSchema,
  type KubeObject,
  type Strategy,
} from "../../kube/index.ts";
import { scalePathsOf } from "../resources/index.ts";
import { validateScale } from "./scale.ts";
import type { Rules } from "./rules.ts";

type Custom = KubeObject & Record<string, unknown>;

export interface CustomStrategyOptions {
  readonly namespaced: boolean;
  readonly version: CustomResourceDefinitionVersion;
  readonly schema: JsonSchema;
  /** The rules of the schema in the Common Expression Language, compiled when first needed. */
  readonly rules: Rules;
}

const blocking: ReadonlySet<FieldError["type"]> = new Set([
  "NotSupported",
  "Required",
  "TooLong",
  "TooMany",
  "TypeInvalid",
]);

/** What a custom resource does on write, as apiextensions' `customResourceStrategy`. */
export function customStrategy({ namespaced, version, schema, rules }: CustomStrategyOptions): Strategy {
  const { subresources, selectableFields = [] } = version;
  const hasStatus = subresources?.status !== undefined;
  const scale = subresources?.scale && scalePathsOf(subresources.scale);
  const statusSchema =
    schema.properties && Object.hasOwn(schema.properties, "status") ? schema.properties["status"] : undefined;
  const fields = selectableFields.map(({ jsonPath }) => ({
    name: jsonPath.replace(/^\./, ""),
    path: compileJsonPath(jsonPath),
  }));

  /** Rules are asked only about an object that has the shape they were written for. */
  const withRules = (found: readonly FieldError[], object: Custom, old: Custom | undefined): FieldError[] => {
    if (!rules.any) return [...found];
    if (found.some(({ type }) => blocking.has(type)))
      return [
        ...found,
        {
          type: "Invalid",
          field: "<nil>",
          value: null,
          detail:
            "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
        },
      ];
    return [...found, ...rules.validate(object, old)];
  };

  const validateAll = (object: Custom, old: Custom | undefined): FieldError[] => {
    const metadata = old
      ? validateMetadataUpdate(object.metadata, old.metadata, 0)
      : validateMetadata(object.metadata, { namespaced, name: isDns1123Subdomain });
    const lists = old && validateListTypes(old, schema).length > 0 ? [] : validateListTypes(object, schema);
    const found = [
      // A finalizer of any form is taken from those who have used it before there was a rule.
      ...[...metadata].filter(({ field }) => !field.startsWith("metadata.finalizers[")),
      ...validateValue(object, schema, undefined, old && { value: old }),
      ...(scale ? validateScale(object, scale, false) : []),
      ...validateEmbedded(object, schema),
      ...lists,
    ];
    return withRules(found, object, old);
  };

  const validateStatus = (object: Custom, old: Custom): FieldError[] => {
    const metadata = validateMetadataUpdate(object.metadata, old.metadata, 0);
    const { status } = object;
    const before = "status" in old ? { value: old["status"] } : undefined;
    const lists = validateListTypes(old, schema).length > 0 ? [] : validateListTypes(object, schema);
    const found = [
      ...metadata.filter(({ field }) => !field.startsWith("metadata.finalizers[")),
      ...(status !== undefined && statusSchema
        ? validateValue(status, statusSchema, undefined, before).map(insideStatus)
        : []),
      ...(scale ? validateScale(object, scale, true) : []),
      ...lists,
    ];
    return withRules(found, object, old);
  };

  return {
    ready: () => rules.ready(),
    allowCreateOnUpdate: false,
    allowUnconditionalUpdate: false,
    defaults(object) {
      const custom = object as Custom;
      prune(custom, schema);
      dropNulls(custom, schema);
      applyDefaults(custom, schema);
    },
    prepareForCreate(object) {
      if (hasStatus) delete (object as Custom)["status"];
      object.metadata.generation = 1;
    },
    prepareForUpdate(object, old, { subresource }) {
      const [custom, before] = [object as Custom, old as Custom];
      if (subresource === "status") {
        const { managedFields } = object.metadata;
        for (const key of new Set([...Object.keys(custom), ...Object.keys(before)]))
          if (key !== "status") keep(custom, before, key);
        // The version is the store's: what changes nothing is to be seen as such.
        const { managedFields: _old, resourceVersion: _version, ...metadata } = before.metadata;
        custom.metadata = managedFields ? { ...metadata, managedFields } : metadata;
        return;
      }
      if (hasStatus) keep(custom, before, "status");
      const generation = before.metadata.generation ?? 1;
      custom.metadata.generation = semanticEqual(withoutMetadata(custom), withoutMetadata(before))
        ? generation
        : generation + 1;
    },
    validateCreate: (object) => validateAll(object as Custom, undefined),
    validateUpdate: (object, old, { subresource }) =>
      subresource === "status"
        ? validateStatus(object as Custom, old as Custom)
        : validateAll(object as Custom, old as Custom),
    warnings: (object) => finalizerWarnings(object.metadata.finalizers ?? []),
    selectableFields: (object) =>
      Object.fromEntries(
        fields.map(({ name, path }) => {
          const [value] = path.find(object);
          return [name, value === undefined || value === null ? "" : textOf(value)];
        }),
      ),
    gracePeriodSeconds: () => 0,
  };
}

/** A status is held against its own schema: texts name fields from there. */
function insideStatus(fault: FieldError): FieldError {
  const { field } = fault;
  return {
    ...fault,
    field: field === "<nil>" ? "status" : field.startsWith("[") ? `status${field}` : `status.${field}`,
  };
}

/** Fields that can be selected by are strings, numbers and booleans. */
function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function keep(object: Custom, old: Custom, key: string): void {
  if (old[key] === undefined) delete object[key];
  else object[key] = old[key];
}

function withoutMetadata({ metadata: _metadata, ...rest }: Custom): object {
  return rest;
}

const standardFinalizers: ReadonlySet<string> = new Set(["orphan", "foregroundDeletion", "kubernetes"]);

function finalizerWarnings(finalizers: readonly string[]): string[] {
  return finalizers.flatMap((name) => {
    const shown = `metadata.finalizers: ${JSON.stringify(name)}`;
    const wrong = isQualifiedName(name).map((text) => `${shown}: ${text}`);
    if (name.includes("/") || standardFinalizers.has(name)) return wrong;
    const path = name.includes(".") ? " including a path (/)" : "";
    return [
      ...wrong,
      `${shown}: prefer a domain-qualified finalizer name${path} to avoid accidental conflicts with other finalizer writers`,
    ];
  });
}
