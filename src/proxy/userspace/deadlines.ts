/** Tells when something took too long, with one timer for all of them. */
export interface Deadlines {
  /** Calls `late` when the function that is given is not called in time. */
  begin(late: () => void): () => void;
}

/** @param time milliseconds that each has */
export function createDeadlines(time: number): Deadlines {
  // In the order in which they end: all have the same time.
  const open = new Set<{ readonly until: number; readonly late: () => void }>();
  let timer: NodeJS.Timeout | undefined;

  function look(): void {
    timer = undefined;
    for (const one of open) {
      const left = one.until - performance.now();
      if (left > 0) {
        timer = setTimeout(look, left).unref();
        return;
      }
      open.delete(one);
      one.late();
    }
  }

  return {
    begin(late) {
      const one = { until: performance.now() + time, late };
      open.add(one);
      timer ??= setTimeout(look, time).unref();
      return () => void open.delete(one);
    },
  };
}
