export * from "./address.ts";
export * from "./endpoints.ts";
export * from "./pools.ts";
export * from "./plan.ts";
export * from "./decide.ts";
export * from "./model.ts";
export * from "./ignored-fields.ts";
export { overrideAnnotation, weightsAnnotation } from "./extras.ts";
