import type { Clock } from "../../system/index.ts";
import type { WatchFrame } from "../handler.ts";
import { createBreather } from "./breather.ts";
import type { Entry } from "./entry.ts";
import { bodyOf, type Form } from "./forms.ts";
import type { KindCache } from "./kind-cache.ts";
import type { Storage } from "./storage.ts";
import { expired, tooLarge } from "./versions.ts";
import type { Seen, Watcher } from "./watcher.ts";

export interface WatchQuery {
  /** "" and "0": the state now, then changes. A number: the changes after it. */
  readonly resourceVersion: string;
  /** true: the state, then a bookmark that ends it (KEP-3157), then changes. false: only changes. */
  readonly sendInitialEvents: boolean | undefined;
  readonly bookmarks: boolean;
  /** Milliseconds after which the watch ends. */
  readonly timeout: number;
}

export interface WatchOptions {
  readonly storage: Storage;
  readonly cache: KindCache;
  /** Prefix of the keys that are watched. */
  readonly prefix: string;
  readonly selects: (entry: Entry) => boolean;
  readonly query: WatchQuery;
  readonly form: Form;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Milliseconds between bookmarks of a quiet watch. */
const bookmarkEvery = 60_000;
/** Milliseconds before its end at which a watch sends its last bookmark. */
const lastBookmark = 2_000;

/**
 * Begins a watch and gives its frames. A version that is forgotten is answered as Kubernetes does, by a single ERROR frame (clients
 * retry other answers for ever). Throws StatusError Timeout for a version that is not reached in time.
 */
export async function openWatch(options: WatchOptions): Promise<AsyncIterable<WatchFrame>> {
  const { storage, cache, prefix, query } = options;
  const from = Number(query.resourceVersion || 0);
  if (query.resourceVersion === "") await storage.caughtUp();
  else if (from > 0 && !(await storage.reached(from, 3000))) throw tooLarge(query.resourceVersion, storage.revision);

  const withState = query.sendInitialEvents ?? from === 0;
  const selects = (entry: Entry): boolean => entry.key.startsWith(prefix) && options.selects(entry);
  const start = withState || from === 0 ? storage.revision : from;
  // The state and the place from which changes are followed are taken in one step: nothing falls between them.
  const watcher = cache.follow(start, selects);
  if (watcher === "expired") return once(plainFrame("ERROR", expired(from, cache.horizon).status, options.form));
  // The client may go before it has taken the first frame.
  const forget = (): void => cache.forget(watcher);
  options.signal.addEventListener("abort", forget, { once: true });
  if (options.signal.aborted) forget();
  return frames(options, watcher, forget, withState ? cache.under(prefix) : [], start);
}

async function* once(frame: WatchFrame): AsyncGenerator<WatchFrame> {
  yield frame;
}

async function* frames(
  { selects, query, form, clock, signal }: WatchOptions,
  watcher: Watcher,
  forget: () => void,
  state: readonly Entry[],
  start: number,
): AsyncGenerator<WatchFrame> {
  const breathe = createBreather();
  const closed = new AbortController();
  const timer = keepTime(query, clock, closed.signal, () => watcher.nudge());
  try {
    for (const entry of state) {
      if (watcher.ended) return;
      if (selects(entry)) {
        if (form.prepare) await form.prepare([entry]);
        yield frameOf({ type: "ADDED", entry }, form);
      }
      await breathe();
    }
    if (query.sendInitialEvents && query.bookmarks) yield bookmark(form, start, true);
    for (;;) {
      const seen = watcher.take();
      if (seen) {
        if (form.prepare) await form.prepare([seen.entry]);
        yield frameOf(seen, form);
        await breathe();
      } else if (watcher.ended || timer.over) return;
      else if (query.bookmarks && timer.bookmarkDue()) yield bookmark(form, watcher.revision, false);
      else await watcher.more();
    }
  } finally {
    closed.abort();
    signal.removeEventListener("abort", forget);
    forget();
  }
}

interface Timer {
  readonly over: boolean;
  /** True once each time a bookmark is due. */
  bookmarkDue(): boolean;
}

/** Says when a bookmark is due (each minute, and shortly before the end) and when the time is over. */
function keepTime(query: WatchQuery, clock: Clock, signal: AbortSignal, nudge: () => void): Timer {
  let over = false;
  let due = false;
  const run = async (): Promise<void> => {
    const end = clock.now() + query.timeout;
    for (;;) {
      const left = end - clock.now();
      const wait = left > bookmarkEvery + lastBookmark ? bookmarkEvery : left - lastBookmark;
      if (wait > 0) await clock.sleep(wait, signal);
      due = true;
      nudge();
      if (wait === bookmarkEvery) continue;
      await clock.sleep(Math.max(0, end - clock.now()), signal);
      over = true;
      return nudge();
    }
  };
  // The only way to fail is the end of the watch.
  run().catch(() => {});
  return {
    get over() {
      return over;
    },
    bookmarkDue() {
      const was = due;
      due = false;
      return was;
    },
  };
}

/** The frame of a change, made once for all watchers that see it the same way in the same form. */
function frameOf(seen: Seen, form: Form): WatchFrame {
  if (!seen.change) return makeFrame(seen.type, form, seen.entry);
  const id = `${seen.type} ${form.id}`;
  let frame = seen.change.forms.get(id);
  if (!frame) {
    frame = makeFrame(seen.type, form, seen.entry);
    seen.change.forms.set(id, frame);
  }
  return frame;
}

function makeFrame(type: WatchFrame["type"], form: Form, entry: Entry): WatchFrame {
  const body = form.one(entry);
  let bytes: Uint8Array | undefined;
  return {
    type,
    get object() {
      return body.object;
    },
    bytes() {
      bytes ??= form.stream
        ? form.stream.event(type, body)
        : Buffer.concat([Buffer.from(`{"type":"${type}","object":`), ...body.bytes(), frameEnd]);
      return bytes;
    },
  };
}

const frameEnd = Buffer.from("}\n");

function bookmark(form: Form, revision: number, initial: boolean): WatchFrame {
  return plainFrame("BOOKMARK", form.bookmark(revision, initial), form);
}

function plainFrame(type: WatchFrame["type"], object: object, { stream }: Form): WatchFrame {
  const json = (): Uint8Array => Buffer.from(`${JSON.stringify({ type, object })}\n`);
  return { type, object, bytes: () => (stream ? stream.event(type, bodyOf(object)) : json()) };
}
