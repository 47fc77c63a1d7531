import type { IncomingMessage } from "node:http";
import { askControlSocket, type Clock, type Logger, serveControlSocket } from "../system/index.ts";
import type { DataPlaneName } from "./choose.ts";
import type { BoundListener } from "./dataplane.ts";
import type { SwitchableDataPlane } from "./switchable.ts";

/** A data plane that a running process can be asked about and told to switch: that of the Ingresses, that of the Gateways. */
export interface ControlledPlane {
  readonly part: ControlledPart;
  readonly plane: SwitchableDataPlane;
  /** Why not every route that is known is served. */
  readonly unserved: () => string | undefined;
}

export type ControlledPart = "ingress" | "gateway";

/** What a running process says of one of its data planes. */
export interface DataPlaneStatus {
  readonly part: ControlledPart;
  readonly dataplane: DataPlaneName;
  /** Others that have connections left. */
  readonly retiring: readonly DataPlaneName[];
  readonly listeners: readonly BoundListener[];
  readonly unserved?: string;
}

export interface DataPlaneControlOptions {
  /** Of the Unix socket. Only the user of this process may use it. */
  readonly path: string;
  readonly planes: () => readonly ControlledPlane[];
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

const names: readonly string[] = ["embedded", "haproxy", "nginx"] satisfies DataPlaneName[];

/** Answers `GET /status`, and `POST /switch?to=NAME[&lossy=1]`, which answers when it is done. */
export function serveDataPlaneControl(options: DataPlaneControlOptions): void {
  serveControlSocket({ ...options, answer: (message) => answer(options, message) });
}

async function answer(
  { planes, log }: DataPlaneControlOptions,
  { method, url = "" }: IncomingMessage,
): Promise<readonly [number, object]> {
  const { pathname, searchParams } = new URL(url, "http://dataplane");
  if (method === "GET" && pathname === "/status") return [200, planes().map(statusOf)];
  if (method !== "POST" || pathname !== "/switch")
    return [404, { error: "there are GET /status and POST /switch?to=NAME" }];
  const to = searchParams.get("to") ?? "";
  if (!isName(to)) return [400, { error: `there is no data plane ${JSON.stringify(to)}: use ${names.join(", ")}` }];
  try {
    await switchAll(planes(), to, searchParams.get("lossy") === "1", log);
    return [200, planes().map(statusOf)];
  } catch (error) {
    return [409, { error: error instanceof Error ? error.message : String(error) }];
  }
}

const isName = (text: string): text is DataPlaneName => names.includes(text);

/** All or none: where one cannot be switched, those before it are switched back. */
export async function switchAll(
  planes: readonly ControlledPlane[],
  to: DataPlaneName,
  lossy: boolean,
  log: Logger,
): Promise<void> {
  const before: (readonly [SwitchableDataPlane, DataPlaneName])[] = [];
  try {
    for (const { plane } of planes) {
      const { serving } = plane;
      await plane.switchTo(to, { lossy });
      before.unshift([plane, serving]);
    }
  } catch (error) {
    for (const [plane, name] of before)
      await plane
        .switchTo(name, { lossy: true })
        .catch((failure: unknown) => log.error({ error: String(failure) }, "a data plane cannot be switched back"));
    throw error;
  }
}

function statusOf({ part, plane, unserved }: ControlledPlane): DataPlaneStatus {
  const why = unserved();
  return {
    part,
    dataplane: plane.serving,
    retiring: plane.retiring,
    listeners: plane.listeners(),
    ...(why === undefined ? {} : { unserved: why }),
  };
}

/** Asks the process on this socket about its data planes, or tells it to switch them. Throws `ControlError`. */
export function askDataPlanes(
  path: string,
  how: { readonly switchTo?: DataPlaneName; readonly lossy?: boolean } = {},
): Promise<readonly DataPlaneStatus[]> {
  if (how.switchTo === undefined) return askControlSocket(path, "GET", "/status");
  return askControlSocket(path, "POST", `/switch?to=${how.switchTo}${how.lossy ? "&lossy=1" : ""}`);
}
