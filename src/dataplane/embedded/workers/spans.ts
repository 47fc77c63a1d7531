import type { Span } from "../../tracing/span.ts";
import type { Tracing } from "../../tracing/tracing.ts";
import type { FromWorker } from "./protocol.ts";

/** Spans that wait in a process at most. */
const most = 2_048;

/**
 * Gathers spans and tells them together, `wait` milliseconds after the first at the latest. The next ones are told when those before have left:
 * a controller that does not read must not take this process's memory.
 */
export function createRelayedSpans(
  send: (message: FromWorker, sent: () => void) => void,
  wait: number,
): Pick<Tracing, "add"> & { flush(): Promise<void> } {
  let spans: Span[] = [];
  let lost = 0;
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> | undefined;

  function tell(): void {
    clearTimeout(timer);
    timer = undefined;
    if (sending || spans.length + lost === 0) return;
    const message: FromWorker = { type: "spans", spans, lost };
    [spans, lost] = [[], 0];
    sending = new Promise<void>((resolve) => send(message, resolve)).then(() => {
      sending = undefined;
      if (spans.length + lost > 0) timer ??= setTimeout(tell, wait).unref();
    });
  }

  return {
    add(more) {
      for (const span of more) {
        if (spans.length < most) spans.push(span);
        else lost++;
      }
      timer ??= setTimeout(tell, wait).unref();
    },
    async flush() {
      await sending;
      tell();
      await sending;
    },
  };
}
