export type * from "./generated/types.ts";
export * from "./object.ts";
export * from "./resource.ts";
export * from "./status.ts";
export type { Definition } from "./definition.ts";
export {
  definitionNamed,
  definitionNames,
  definitionOf,
  resolve,
  type GroupVersionKind,
  type NamedDefinition,
} from "./schema.ts";
export * from "./field-error.ts";
export type * from "./strategy.ts";
export * from "./strategies.ts";
export * from "./conditions.ts";
export { loadCel, type CelModule } from "./load-cel.ts";
export type * as Cel from "./cel/index.ts";
export * from "./apply/index.ts";
export * from "./decode/decode.ts";
export { structure, StructureError, type Structured } from "./decode/structure.ts";
export { JsonSyntaxError, parseJson, type ParsedJson } from "./decode/json.ts";
export * from "./decode/yaml.ts";
export { applyJsonPatch } from "./patch/json-patch.ts";
export * from "./patch/merge-patch.ts";
export * from "./patch/strategic-patch.ts";
export * from "./selectors/field-selector.ts";
export * from "./selectors/label-selector.ts";
export { fault, type Faults } from "./validation/fault.ts";
export { validateMetadata, validateMetadataUpdate } from "./validation/metadata.ts";
export { humanDuration, since } from "./values/duration.ts";
export * from "./values/equal.ts";
export { goText, goType } from "./values/go-text.ts";
export * from "./values/image.ts";
export * from "./values/intstr.ts";
export * from "./values/ip.ts";
export * from "./values/names.ts";
export { compilePattern, PatternError, type Pattern } from "./values/pattern.ts";
export { patternProgram, type Instruction, type PatternProgram } from "./values/pattern-program.ts";
export { compileCaptures, type Captures } from "./values/captures.ts";
export * from "./values/quantity.ts";
export * from "./values/time.ts";
export * from "./autoscaling/autoscaling-v1.ts";
export { indexCount, parseIndexes, type IndexFault } from "./batch/indexes.ts";
export { isJobFinished, jobCondition } from "./batch/job-status.ts";
export { parseSchedule, type Schedule, type ScheduleFault } from "./batch/schedule.ts";
export * from "./quota/quota.ts";
export { countName, isCounted, podTotal, usageOf } from "./quota/usage.ts";
export {
  admissionTypes,
  compileFor,
  declaredVariables,
  mutationStructs,
  type Declared,
  type Expression,
} from "./admissionregistration/expressions.ts";
export * from "./flowcontrol/mandatory.ts";
export { systemPriorityClasses } from "./scheduling/priority-class.ts";
export { aggregatedRules } from "./rbac/aggregation.ts";
export { containersOf } from "./core/pod-defaults.ts";
export { qosClassOf } from "./core/pod-status.ts";
export {
  isExternallyAccessible,
  isHeadless,
  needsClusterIp,
  needsHealthCheckNodePort,
  needsNodePort,
} from "./core/service-defaults.ts";
export * from "./structural/index.ts";
export { defaultClassAnnotation, defaultStorageClassOf } from "./storage/default-class.ts";
export { cleanupFinalizer, isEstablished, storageVersionOf } from "./apiextensions/custom-resource-definition.ts";
