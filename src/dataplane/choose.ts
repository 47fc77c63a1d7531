import { type CommandRunner, systemCommands } from "../system/index.ts";
import type { DataPlane } from "./dataplane.ts";
import { startEmbeddedWorkers, type WorkersOptions } from "./embedded/workers/workers.ts";
import { startHaproxy } from "./haproxy/haproxy.ts";
import { missingHaproxy } from "./haproxy/capabilities.ts";
import { startNginx } from "./nginx/nginx.ts";
import { findNginx } from "./nginx/program.ts";

/** Data planes by the names that users give them. */
export type DataPlaneName = "embedded" | "haproxy" | "nginx";

export interface DataPlaneOptions extends Omit<WorkersOptions, "program"> {
  /** Folder of a data plane that is a program of its own; kept over restarts. Default: a temporary one. */
  readonly directory?: string;
  /** Program of the embedded one's processes, where it is not beside this module. */
  readonly embeddedProgram?: string;
  /** HAProxy and nginx count requests by route too, which costs each request something; the embedded one always does. */
  readonly routeFigures?: boolean;
}

/** Starts the data plane of a name. `ready` rejects when this machine does not have its program. */
export function startDataPlane(name: DataPlaneName, given: DataPlaneOptions): DataPlane {
  const { embeddedProgram: program, ...options } = given;
  switch (name) {
    case "embedded":
      return startEmbeddedWorkers({ ...options, ...(program === undefined ? {} : { program }) });
    case "haproxy":
      return startHaproxy(options);
    case "nginx":
      return startNginx(options);
    default:
      return name satisfies never;
  }
}

/** What keeps this machine from running a data plane, with a remedy; `undefined`: nothing. */
export async function missingFor(
  name: DataPlaneName,
  commands: CommandRunner = systemCommands,
): Promise<string | undefined> {
  if (name === "embedded") return undefined;
  if (name === "haproxy") return missingHaproxy(commands);
  return findNginx(commands).then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}
