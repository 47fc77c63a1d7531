export * from "./client.ts";
export type * from "./informer.ts";
export type * from "./controller.ts";
export { createFakeClient, type FakeCall, type FakeClient } from "./fake.ts";
