import type { Clock, Component, Logger, Metrics } from "../system/index.ts";
import type { WorkQueueStats } from "./work-queue.ts";

/** What a reconcile asks for beside success: to be called again after so many milliseconds. */
export type ReconcileResult = void | { readonly again: number };

/**
 * A controller: a keyed queue and a level-triggered, idempotent `reconcile`. Events trigger but never inform:
 * reconcile reads the state itself. A thrown error means "again, with back-off".
 */
export interface ControllerOptions {
  readonly name: string;
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<ReconcileResult>;
  /** Keys worked on at once. One key never runs twice at the same time. Default 1. */
  readonly concurrency?: number;
  /** Work begins when these have settled, usually the informers' `synced`. */
  readonly after?: readonly Promise<unknown>[];
  readonly signal: AbortSignal;
  /** Told of the queue. */
  readonly metrics?: Metrics;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Controller extends Component {
  /** Asks for a reconcile of `key`; asked twice before it runs, it runs once. */
  enqueue(key: string): void;
  /** The same, but not before `ms` milliseconds have passed. */
  enqueueAfter(key: string, ms: number): void;
  /** Depth and counts of the queue, for metrics. */
  stats(): WorkQueueStats;
}

export type StartController = (options: ControllerOptions) => Controller;
