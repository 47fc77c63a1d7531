import { setImmediate } from "node:timers/promises";
import type { Clock } from "../../system/index.ts";
import type { WatchFrame, WatchFrames } from "../handler.ts";
import type { Entry } from "./entry.ts";
import { bodyOf, type Form } from "./forms.ts";
import type { KindCache } from "./kind-cache.ts";
import type { Storage } from "./storage.ts";
import { expired, tooLarge } from "./versions.ts";
import { framesAtHand, watchFrames } from "./watch-frames.ts";
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
export async function openWatch(options: WatchOptions): Promise<WatchFrames> {
  const { storage, cache, prefix, query } = options;
  const from = Number(query.resourceVersion || 0);
  if (query.resourceVersion === "") await storage.caughtUp();
  else if (from > 0 && !(await storage.reached(from, 3000))) throw tooLarge(query.resourceVersion, storage.revision);

  const withState = query.sendInitialEvents ?? from === 0;
  const selects = (entry: Entry): boolean => entry.key.startsWith(prefix) && options.selects(entry);
  const start = withState || from === 0 ? storage.revision : from;
  // The state and the place from which changes are followed are taken in one step: nothing falls between them.
  const watcher = cache.follow(start, selects);
  if (watcher === "expired")
    return framesAtHand([plainFrame("ERROR", expired(from, cache.horizon).status, options.form)]);
  // The client may go before it has taken the first frame.
  const forget = (): void => cache.forget(watcher);
  options.signal.addEventListener("abort", forget, { once: true });
  if (options.signal.aborted) forget();
  return framesOf(options, watcher, forget, withState ? cache.under(prefix) : [], start);
}

/** Entries of the state that are looked at in one go. */
const lookedAt = 1000;

function framesOf(
  { storage, selects, query, form, clock, signal }: WatchOptions,
  watcher: Watcher,
  forget: () => void,
  given: readonly Entry[],
  start: number,
): WatchFrames {
  const over = new AbortController();
  let timer: Timer | undefined;
  let state = given;
  let next = 0;
  let marksState = query.sendInitialEvents === true && query.bookmarks;
  let closed = false;
  const made = (seen: Seen): WatchFrame | Promise<WatchFrame> => {
    const waiting = form.prepare?.([seen.entry]);
    return waiting ? waiting.then(() => frameOf(seen, form)) : frameOf(seen, form);
  };
  const take = (): ReturnType<WatchFrames["take"]> => {
    if (closed) return undefined;
    timer ??= keepTime(query, clock, over.signal, () => watcher.nudge());
    if (next < state.length) {
      if (watcher.ended) return undefined;
      for (const last = Math.min(state.length, next + lookedAt); next < last;) {
        const entry = state[next++] as Entry;
        if (selects(entry)) return made({ type: "ADDED", entry });
      }
      if (next < state.length) return setImmediate().then(take);
      state = [];
      next = 0;
    }
    if (marksState) {
      marksState = false;
      return bookmark(form, start, true);
    }
    const seen = watcher.take();
    if (seen) return made(seen);
    if (watcher.ended || timer.over || !query.bookmarks || !timer.bookmarkDue()) return undefined;
    // All changes that the caches hold were offered, and none is left to be taken.
    return bookmark(form, storage.revision, false);
  };
  return watchFrames({
    take,
    more: () => watcher.more(),
    get done() {
      return closed || watcher.ended !== undefined || timer?.over === true;
    },
    close() {
      if (closed) return;
      closed = true;
      over.abort();
      signal.removeEventListener("abort", forget);
      forget();
    },
  });
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
