import { type DataPlane, type DataPlaneName, startDataPlane } from "../../src/dataplane/index.ts";
import { createMetrics, silentLogger, systemClock } from "../../src/system/index.ts";
import { embeddedProgram } from "../support/embedded-program.ts";

/** A data plane on loopback alone, ready to be given a model. */
export async function startPlane(
  name: DataPlaneName,
  signal: AbortSignal,
  more: { readonly directory?: string } = {},
): Promise<DataPlane> {
  const plane = startDataPlane(name, {
    ...more,
    address: "127.0.0.1",
    embeddedProgram: await embeddedProgram(),
    metrics: createMetrics(),
    signal,
    clock: systemClock,
    log: silentLogger,
  });
  await plane.ready;
  return plane;
}
