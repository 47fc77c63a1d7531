export type * from "./handler.ts";
