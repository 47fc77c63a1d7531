export { tableFor, type Table, type TableOptions, type TableRow } from "./table.ts";
export { customScalePrinter } from "./workloads.ts";
export type { Cell, Column, Printer } from "./columns.ts";
