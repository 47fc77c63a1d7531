import type { Client, Informers } from "../client/index.ts";
import type { Clock, Logger, Metrics } from "../system/index.ts";

/** What every controller is given. */
export interface ControllerContext {
  readonly client: Client;
  /** Shared with the other parts of the process. */
  readonly informers: Informers;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Told of the controllers' queues. */
  readonly metrics?: Metrics;
}
