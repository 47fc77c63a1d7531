import type * as cel from "./cel/index.ts";

/** The expression language as a module. */
export type CelModule = typeof cel;

/** The expression language, loaded when it is first needed: a cluster without expressions pays nothing for it. */
export const loadCel = (): Promise<CelModule> => import("./cel/index.ts");
