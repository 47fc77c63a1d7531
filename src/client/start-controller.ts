import { isNamespaceTerminating, isStatus } from "../kube/index.ts";
import type { Controller, ControllerOptions, StartController } from "./controller.ts";
import { messageOf } from "./outcomes.ts";
import { queueTimes, tellOfQueue } from "./queue-figures.ts";
import { createWorkQueue } from "./work-queue.ts";

/** Milliseconds that reconciles may hold the thread before requests and watches get their turn. */
const longestTurn = 8;

/** Starts the workers of a controller. See `ControllerOptions` for what they promise. */
export const startController: StartController = (options: ControllerOptions): Controller => {
  const { name, reconcile, signal, clock } = options;
  const log = options.log.child({ controller: name });
  const { metrics } = options;
  const queue = createWorkQueue({ clock, signal, ...(metrics ? { times: queueTimes(metrics, name) } : {}) });
  if (metrics) tellOfQueue(metrics, name, queue);

  const work = async (key: string): Promise<void> => {
    try {
      const result = await reconcile(key, signal);
      queue.forget(key);
      if (result) queue.addAfter(key, result.again);
    } catch (error) {
      if (signal.aborted) return;
      const ms = queue.retry(key);
      const fields = { key, again: ms, error: messageOf(error) };
      // Someone else was quicker, or the namespace is going away: usual, and the next look at the cache settles it.
      if (isStatus(error, "Conflict") || isNamespaceTerminating(error))
        log.debug(fields, "changed meanwhile; trying again");
      else log.warn(fields, "reconcile failed; trying again");
    } finally {
      queue.done(key);
    }
  };

  const worker = async (): Promise<void> => {
    let turn = performance.now();
    for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
      await work(key);
      if (performance.now() - turn > longestTurn) {
        await new Promise((resolve) => setImmediate(resolve));
        turn = performance.now();
      }
    }
  };

  // It rejects when the signal aborts first; who waits for it is told, and nobody has to.
  const ready = Promise.all(options.after ?? []).then(() => {});
  const stopped = ready.then(
    async () => {
      await Promise.all(Array.from({ length: options.concurrency ?? 1 }, worker));
    },
    () => {},
  );
  return {
    name,
    ready,
    stopped,
    enqueue: (key) => queue.add(key),
    enqueueAfter: (key, ms) => queue.addAfter(key, ms),
    stats: () => queue.stats(),
  };
};
