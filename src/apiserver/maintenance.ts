import { resources, type Event } from "../kube/index.ts";
import type { Store } from "../store/index.ts";
import type { Clock, Component, Logger } from "../system/index.ts";
import { ownContext, type Registry } from "./registry/index.ts";
import { createBreather, prefixFor, type Storage } from "./storage/index.ts";

export interface MaintenanceOptions {
  readonly store: Store;
  readonly storage: Storage;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Work begins after this. */
  readonly after: Promise<unknown>;
}

/** Milliseconds between two rounds. */
const every = 60_000;
/** Milliseconds that an Event lives after it was last seen. */
const eventLife = 3_600_000;
/** Events removed in one round: the rest waits for the next. */
const mostRemoved = 2_000;
/** Rounds between two compactions of the store; history is kept for one to two such times. */
const compactionRounds = 5;

/** What has to be done now and then: Events end, and the store forgets old history. */
export function startMaintenance(options: MaintenanceOptions): Component {
  const { clock, signal, after, log } = options;
  const run = async (): Promise<void> => {
    await after;
    let old = 0;
    for (let round = 1; !signal.aborted; round++) {
      await clock.sleep(every, signal);
      try {
        await removeOldEvents(options);
        if (round % compactionRounds !== 0) continue;
        if (old > 0) await options.store.compact(old);
        old = options.storage.revision;
      } catch (error) {
        log.warn({ error: String(error) }, "maintenance of the store failed; it will be tried again");
      }
    }
  };
  return { name: "apiserver-maintenance", ready: Promise.resolve(), stopped: run().catch(() => {}) };
}

async function removeOldEvents({ storage, registry, clock, signal }: MaintenanceOptions): Promise<void> {
  const breathe = createBreather();
  let removed = 0;
  for (const entry of storage.of(resources.Event).under(prefixFor(resources.Event))) {
    await breathe();
    if (signal.aborted || removed >= mostRemoved) return;
    const event = entry.object as Event;
    if (clock.now() - lastSeen(event) < eventLife) continue;
    removed++;
    const { namespace = "", name, resourceVersion = "" } = event.metadata;
    // Seen again or removed meanwhile: then it is not ours to remove.
    await registry
      .remove(ownContext(resources.Event, namespace), name, { preconditions: { resourceVersion } })
      .catch(() => {});
  }
}

function lastSeen({ metadata, lastTimestamp, eventTime, series }: Event): number {
  const times = [metadata.creationTimestamp, lastTimestamp, eventTime, series?.lastObservedTime];
  return Math.max(0, ...times.map((time) => (time ? Date.parse(time) : 0)).filter(Number.isFinite));
}
