/**
 * Calls `call` once when the signal aborts, and at once when it has: a listener that is added to a signal that has aborted is never called, and who
 * waits for it waits for ever.
 */
export function whenAborted(signal: AbortSignal, call: () => void): void {
  if (signal.aborted) call();
  else signal.addEventListener("abort", call, { once: true });
}
