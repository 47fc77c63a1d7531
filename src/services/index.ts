export * from "./address.ts";
export * from "./endpoints.ts";
export * from "./pools.ts";
export * from "./plan.ts";
export * from "./decide.ts";
export * from "./model.ts";
export * from "./ignored-fields.ts";
export { bucketCount, bucketOf, bucketsOf, clientSeed, endpointFor } from "./hashing.ts";
export {
  balanceAnnotation,
  holdAnnotation,
  overrideAnnotation,
  removedAnnotation,
  weightsAnnotation,
} from "./extras.ts";
export type { Balance } from "./extras.ts";
