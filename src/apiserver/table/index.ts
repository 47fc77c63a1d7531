export { tableFor, type Table, type TableOptions, type TableRow } from "./table.ts";
export { humanDuration } from "./duration.ts";
