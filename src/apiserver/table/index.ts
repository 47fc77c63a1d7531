export { tableFor, type Table, type TableOptions, type TableRow } from "./table.ts";
export { humanDuration, since } from "./duration.ts";
export type { Cell, Column, Printer } from "./columns.ts";
