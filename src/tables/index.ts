export * from "./row.ts";
export type { Program, Transaction, FakeProgram } from "./program.ts";
export { createFakeProgram } from "./fake-program.ts";
export { createTables, type Tables, type TablesOptions } from "./tables.ts";
export * from "./isolate.ts";
