export type * from "./exposure.ts";
export { exposures, type ExposureOptions } from "./exposures.ts";
