import { createStrategy } from "../base-strategy.ts";
import { isConditionTrue, setCondition } from "../conditions.ts";
import type { FieldError } from "../field-error.ts";
import type { CustomResourceDefinition, CustomResourceDefinitionVersion } from "../generated/types.ts";
import { resources } from "../resource.ts";
import type { Strategy } from "../strategy.ts";
import { loadCel, type CelModule } from "../load-cel.ts";
import { hasInside, type JsonSchema } from "../structural/json-schema.ts";
import { formatWarnings } from "./schema-validation.ts";
import { validateDefinitionMetadata, validateSpec, validateSpecUpdate } from "./spec-validation.ts";
import { validateStatus } from "./status-validation.ts";

/** Keeps a CustomResourceDefinition until all objects of its kind are gone. */
export const cleanupFinalizer = "customresourcecleanup.apiextensions.k8s.io";

/** The version in which objects are stored. */
export function storageVersionOf({ spec }: CustomResourceDefinition): CustomResourceDefinitionVersion | undefined {
  return spec.versions.find(({ storage }) => storage);
}

export function isEstablished({ status }: CustomResourceDefinition): boolean {
  return isConditionTrue(status?.conditions, "Established");
}

const emptySpec = (): CustomResourceDefinition["spec"] => ({
  group: "",
  names: { kind: "", plural: "" },
  scope: "",
  versions: [],
});

function applySpecDefaults(definition: CustomResourceDefinition): void {
  // Structs in Go are there even when nothing was given.
  definition.spec = { ...emptySpec(), ...definition.spec };
  const { spec } = definition;
  const { names } = spec;
  if (!names.singular && names.kind) names.singular = names.kind.toLowerCase();
  if (!names.listKind && names.kind) names.listKind = `${names.kind}List`;
  spec.conversion ??= { strategy: "None" };
  const service = spec.conversion.webhook?.clientConfig?.service;
  if (service) service.port ??= 443;
}

/** Every version that was ever stored stays noted until someone has rewritten what is stored in it. */
function noteStorageVersion(definition: CustomResourceDefinition): void {
  const storage = storageVersionOf(definition)?.name;
  if (storage === undefined) return;
  const stored = definition.status?.storedVersions ?? [];
  if (!stored.includes(storage)) definition.status = { ...definition.status, storedVersions: [...stored, storage] };
}

function hasRules({ spec }: CustomResourceDefinition): boolean {
  return (spec?.versions ?? []).some(({ schema }) => {
    const root = schema?.openAPIV3Schema as JsonSchema | undefined;
    return root !== undefined && hasInside(root, "x-kubernetes-validations");
  });
}

/** That a finalizer names a domain is a rule of the kinds of Kubernetes' core. */
const isOfAll = ({ field }: FieldError): boolean => !field.startsWith("metadata.finalizers[");

function createDefinitionStrategy(): Strategy {
  /** The expression language, once a definition with rules has come. */
  let cel: CelModule | undefined;

  const base = createStrategy<CustomResourceDefinition>(resources.CustomResourceDefinition, {
    generationOf: ({ spec }) => spec,
    statusKeeps: "metadata",
    defaults: applySpecDefaults,
    prepareForCreate(definition) {
      // What clients in Go see before the names are accepted.
      definition.status = { conditions: [], acceptedNames: { plural: "", kind: "" } };
      noteStorageVersion(definition);
    },
    prepareForUpdate: noteStorageVersion,
    warnings: ({ spec }) => [
      ...new Set(
        spec.versions.flatMap(({ schema }) =>
          schema?.openAPIV3Schema ? formatWarnings(schema.openAPIV3Schema as JsonSchema) : [],
        ),
      ),
    ],
    *validate(definition, _context, old) {
      if (!old) yield* validateDefinitionMetadata(definition);
      yield* old ? validateSpecUpdate(definition, old, cel) : validateSpec(definition, { cel });
      yield* validateStatus(definition);
    },
    *validateStatus(definition) {
      yield* validateStatus(definition, { storedVersions: false });
    },
  });
  return {
    ...base,
    ready(object) {
      if (cel || !hasRules(object as CustomResourceDefinition)) return undefined;
      return loadCel().then((loaded) => {
        cel = loaded;
      });
    },
    validateCreate: (object, context) => base.validateCreate(object, context).filter(isOfAll),
    validateUpdate: (object, old, context) => base.validateUpdate(object, old, context).filter(isOfAll),
    prepareForDelete(object, { now }) {
      const definition = object as CustomResourceDefinition;
      const finalizers = definition.metadata.finalizers ?? [];
      if (!finalizers.includes(cleanupFinalizer)) definition.metadata.finalizers = [...finalizers, cleanupFinalizer];
      const condition = {
        type: "Terminating",
        status: "True",
        reason: "InstanceDeletionPending",
        message: "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
      };
      definition.status = {
        ...definition.status,
        conditions: [...setCondition(definition.status?.conditions, condition, now)],
      };
    },
  };
}

export const customResourceDefinitionStrategy: Strategy = createDefinitionStrategy();
