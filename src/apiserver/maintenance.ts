import { resources, type Event } from "../kube/index.ts";
import type { Store } from "../store/index.ts";
import type { Clock, Component, Logger } from "../system/index.ts";
import { ownContext, type Registry } from "./registry/index.ts";
import { createBreather, eventLife, prefixFor, root, type Storage } from "./storage/index.ts";

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
/** Events removed in one round: the rest waits for the next. */
const mostRemoved = 2_000;
/** Rounds between two compactions of the store; history is kept for one to two such times. */
const compactionRounds = 5;
/** Where the API servers on one store agree on who compacts it. */
const compactionKey = `${root}fairlead.dev/compactions/revision`;

/** What has to be done now and then: Events end, and the store forgets old history. */
export function startMaintenance(options: MaintenanceOptions): Component {
  const { clock, signal, after, log } = options;
  const run = async (): Promise<void> => {
    await after;
    const compact = options.store.shared ? sharedCompaction(options) : ownCompaction(options);
    for (let round = 1; !signal.aborted; round++) {
      await clock.sleep(every, signal);
      try {
        if (!options.store.expires) await removeOldEvents(options);
        if (round % compactionRounds === 0) await compact();
      } catch (error) {
        log.warn({ error: String(error) }, "maintenance of the store failed; it will be tried again");
      }
    }
  };
  return { name: "apiserver-maintenance", ready: Promise.resolve(), stopped: run().catch(() => {}) };
}

/** Forgets what was there the last time. */
function ownCompaction({ store, storage }: Pick<MaintenanceOptions, "store" | "storage">): () => Promise<void> {
  let old = 0;
  return async () => {
    if (old > 0) await store.compact(old);
    old = storage.revision;
  };
}

/**
 * The same where several API servers have one store: whoever is first in a round to note the newest revision forgets what was noted in
 * the round before; the others see the note. So history is kept as long as with one server (kube-apiserver does it in this way too).
 */
export function sharedCompaction({ store }: Pick<MaintenanceOptions, "store">): () => Promise<void> {
  let noted = { modRevision: 0, revision: 0 };
  return async () => {
    const revision = await store.revision();
    const { modRevision } = noted;
    const result = await store.write(
      [{ key: compactionKey, modRevision }],
      [{ type: "put", key: compactionKey, value: Buffer.from(String(revision)) }],
    );
    if (result.ok) {
      const old = noted.revision;
      noted = { modRevision: result.revision, revision };
      if (old > 0) await store.compact(old);
      return;
    }
    const item = result.current.get(compactionKey);
    noted = { modRevision: item?.modRevision ?? 0, revision: Number(Buffer.from(item?.value ?? []).toString()) || 0 };
  };
}

async function removeOldEvents({ storage, registry, clock, signal }: MaintenanceOptions): Promise<void> {
  const breathe = createBreather();
  let removed = 0;
  for (const entry of storage.of(resources.Event).under(prefixFor(resources.Event))) {
    await breathe();
    if (signal.aborted || removed >= mostRemoved) return;
    const event = entry.object as Event;
    if (clock.now() - lastSeen(event) < eventLife * 1000) continue;
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
