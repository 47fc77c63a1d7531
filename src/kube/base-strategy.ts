import { structure } from "./decode/structure.ts";
import type { FieldError } from "./field-error.ts";
import type { KubeObject } from "./object.ts";
import type { Resource } from "./resource.ts";
import type { Strategy, StrategyContext } from "./strategy.ts";
import { validateMetadata, validateMetadataUpdate } from "./validation/metadata.ts";
import type { Faults } from "./validation/fault.ts";
import { definitionOf } from "./schema.ts";
import { cloneJson, semanticEqual } from "./values/equal.ts";
import { isDns1123Subdomain, type NameCheck } from "./values/names.ts";

/** What is particular to a kind. What is not said here is the same for all kinds. */
export interface KindRules<T extends KubeObject> {
  /** Default: a DNS subdomain. */
  readonly name?: NameCheck;
  /** The part of the object whose changes raise `metadata.generation`. Absent: the kind has no generation. */
  readonly generationOf?: (object: T) => unknown;
  /** A status that comes with a new object is kept: only Nodes, which register with theirs. Default false. */
  readonly statusOnCreate?: boolean;
  readonly defaults?: (object: T) => void;
  readonly prepareForCreate?: (object: T, context: StrategyContext) => void;
  readonly prepareForUpdate?: (object: T, old: T, context: StrategyContext) => void;
  /** Faults of an object beside its metadata. `old` is there on update. */
  readonly validate?: (object: T, context: StrategyContext, old?: T) => Faults;
  /** Faults of a write to a status, beside metadata. Default: none. */
  readonly validateStatus?: (object: T, old: T, context: StrategyContext) => Faults;
  readonly warnings?: (object: T) => readonly string[];
  /** What a write to the status may not change of the metadata: labels alone, or all that a client writes. Default: it may change all. */
  readonly statusKeeps?: "labels" | "metadata";
  readonly prepareStatus?: (object: T, old: T, context: StrategyContext) => void;
  /** Values of the fields that a field selector may name. The object may be empty: then only the names count. */
  readonly selectableFields?: (object: T) => Readonly<Record<string, string>>;
  readonly allowCreateOnUpdate?: boolean;
  readonly gracePeriodSeconds?: (object: T) => number;
  readonly garbageCollection?: NonNullable<Strategy["garbageCollection"]>;
  readonly deletionWarnings?: NonNullable<Strategy["deletionWarnings"]>;
  readonly allowUnconditionalUpdate?: boolean;
}

const none: readonly never[] = [];

/** The Strategy of a kind from its rules. A kind with a `status` subresource has its status and the rest written apart. */
export function createStrategy<T extends KubeObject>(resource: Resource<T>, rules: KindRules<T>): Strategy {
  const hasStatus = resource.subresources.includes("status");
  const metadataRules = { namespaced: resource.namespaced, name: rules.name ?? isDns1123Subdomain };
  const as = (object: KubeObject) => object as T;
  let status: unknown;
  /** What the status holds before anyone has written it: in Go a struct, which is there even when it is empty. */
  const emptyStatus = (): unknown => {
    const named = definitionOf(resource);
    status ??= (named && structure(named, {}).value["status"]) ?? {};
    return cloneJson(status);
  };

  return {
    allowCreateOnUpdate: rules.allowCreateOnUpdate ?? false,
    ...(rules.allowUnconditionalUpdate === undefined
      ? {}
      : { allowUnconditionalUpdate: rules.allowUnconditionalUpdate }),
    ...(rules.garbageCollection ? { garbageCollection: rules.garbageCollection } : {}),
    ...(rules.deletionWarnings ? { deletionWarnings: rules.deletionWarnings } : {}),
    defaults: (object) => rules.defaults?.(as(object)),
    prepareForCreate(object, context) {
      rules.defaults?.(as(object));
      if (rules.generationOf) object.metadata.generation = 1;
      else delete object.metadata.generation;
      if (hasStatus && !rules.statusOnCreate) (object as { status?: unknown }).status = emptyStatus();
      rules.prepareForCreate?.(as(object), context);
    },
    prepareForUpdate(object, old, context) {
      if (context.subresource === "status") {
        keepAllButStatus(object, old);
        if (rules.statusKeeps) keepMetadata(object, old, rules.statusKeeps);
        rules.prepareStatus?.(as(object), as(old), context);
        keepGeneration(object, old, false);
        return;
      }
      if (hasStatus) keepField(object, old, "status");
      rules.prepareForUpdate?.(as(object), as(old), context);
      const { generationOf } = rules;
      const changed = generationOf && !semanticEqual(generationOf(as(object)), generationOf(as(old)));
      keepGeneration(object, old, changed === true);
    },
    validateCreate: (object, context) => [
      ...validateMetadata(object.metadata, metadataRules),
      ...(rules.validate?.(as(object), context) ?? none),
    ],
    validateUpdate: (object, old, context): FieldError[] => [
      ...validateMetadataUpdate(object.metadata, old.metadata),
      ...((context.subresource === "status"
        ? rules.validateStatus?.(as(object), as(old), context)
        : rules.validate?.(as(object), context, as(old))) ?? none),
    ],
    warnings: (object) => rules.warnings?.(as(object)) ?? none,
    selectableFields: (object) => rules.selectableFields?.(as(object)) ?? {},
    gracePeriodSeconds: (object) => rules.gracePeriodSeconds?.(as(object)) ?? 0,
  };
}

function keepField(object: KubeObject, old: KubeObject, key: string): void {
  const value: unknown = Reflect.get(old, key);
  if (value === undefined) Reflect.deleteProperty(object, key);
  else Reflect.set(object, key, value);
}

/** A write to the status leaves everything else as it was; metadata may change, as in Kubernetes. */
function keepAllButStatus(object: KubeObject, old: KubeObject): void {
  for (const key of new Set([...Object.keys(object), ...Object.keys(old)])) {
    if (key !== "status" && key !== "metadata") keepField(object, old, key);
  }
}

const writtenMetadata = ["labels", "annotations", "ownerReferences", "finalizers"] as const;

/** As apimachinery's `ResetObjectMetaForStatus`; managed fields tell of the write itself. */
function keepMetadata({ metadata }: KubeObject, old: KubeObject, what: "labels" | "metadata"): void {
  for (const field of what === "labels" ? (["labels"] as const) : writtenMetadata) {
    delete metadata[field];
    if (old.metadata[field] !== undefined) Object.assign(metadata, { [field]: old.metadata[field] });
  }
}

function keepGeneration(object: KubeObject, old: KubeObject, raise: boolean): void {
  const { generation } = old.metadata;
  if (raise) object.metadata.generation = (generation ?? 0) + 1;
  else if (generation === undefined) delete object.metadata.generation;
  else object.metadata.generation = generation;
}
