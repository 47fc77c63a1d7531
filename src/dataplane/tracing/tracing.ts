import type { Finished } from "../finished.ts";
import { type Span, spanOf } from "./span.ts";

/** That requests are traced, and who is told of it. */
export interface Tracing {
  /** Share of the traces that begin here which is recorded: 0 to 1. A trace that a client has begun is recorded when the client says so. */
  readonly sample: number;
  /** Takes spans; never blocks and never fails. */
  readonly add: (spans: readonly Span[]) => void;
  /** Is told of so many spans that there was no room for. */
  readonly lost: (spans: number) => void;
}

/** How a program of its own traces requests. */
export interface TraceSettings extends Pick<Tracing, "sample"> {
  /** It tells only of requests whose spans are recorded. */
  readonly only: boolean;
}

/** Tells of requests that are done, those that are recorded. */
export function tellSpans({ add }: Pick<Tracing, "add">): (finished: Finished) => void {
  return (finished) => {
    const span = spanOf(finished);
    if (span) add([span]);
  };
}
