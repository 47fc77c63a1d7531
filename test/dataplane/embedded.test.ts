import { startEmbedded, startEmbeddedWorkers } from "../../src/dataplane/index.ts";
import { dataPlaneContract } from "./contract/index.ts";
import { startFakeProcess } from "./fake-process.ts";

dataPlaneContract("embedded", startEmbedded);
// The real processes: workers.test.ts.
dataPlaneContract("embedded, by messages to two processes", (options) =>
  startEmbeddedWorkers({ ...options, start: startFakeProcess, processes: 2 }),
);
