import { setImmediate } from "node:timers/promises";

/** Milliseconds that one request may hold the thread at a stretch. */
const stretch = 4;

/** For long loops: lets other requests run when this one has held the thread for too long. It looks at the clock every `steps` calls. */
export function createBreather(steps = 16): () => Promise<void> | undefined {
  let since = performance.now();
  let calls = 0;
  return () => {
    // Reading the clock costs more than most steps of a loop.
    if (++calls % steps !== 0) return undefined;
    if (performance.now() - since < stretch) return undefined;
    return setImmediate().then(() => {
      since = performance.now();
    });
  };
}
