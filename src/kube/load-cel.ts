/** The expression language, loaded when it is first needed: a cluster without expressions pays nothing for it. */
export const loadCel = (): Promise<typeof import("./cel/index.ts")> => import("./cel/index.ts");
