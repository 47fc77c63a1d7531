export * from "./client.ts";
export type * from "./informer.ts";
export type * from "./controller.ts";
export { startInformer } from "./start-informer.ts";
export { createInformers, type Informers } from "./informers.ts";
export { startController } from "./start-controller.ts";
export { createWorkQueue, type WorkQueue, type WorkQueueStats } from "./work-queue.ts";
export { createFakeClient, type FakeCall, type FakeClient } from "./fake.ts";
export { createEventRecorder, type EventRecorder, type EventRecorderOptions, type EventType } from "./events.ts";
