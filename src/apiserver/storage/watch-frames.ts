import type { WatchFrame, WatchFrames } from "../handler.ts";
import { createBreather } from "./breather.ts";

/** Completes frames that can be taken by the way to iterate over them, which lets others run in a long state. */
export function watchFrames(frames: Omit<WatchFrames, typeof Symbol.asyncIterator>): WatchFrames {
  async function* each(): AsyncGenerator<WatchFrame> {
    const breathe = createBreather();
    try {
      for (;;) {
        const taken = frames.take();
        const frame = taken instanceof Promise ? await taken : taken;
        if (frame) {
          yield frame;
          await breathe();
        } else if (frames.done) return;
        else if (!(taken instanceof Promise)) await frames.more();
      }
    } finally {
      frames.close();
    }
  }
  return {
    take: () => frames.take(),
    more: () => frames.more(),
    get done() {
      return frames.done;
    },
    close: () => frames.close(),
    [Symbol.asyncIterator]: each,
  };
}

/** Frames of a watch that are all there. */
export function framesAtHand(given: readonly WatchFrame[]): WatchFrames {
  let left = given;
  return watchFrames({
    take() {
      const [frame, ...rest] = left;
      left = rest;
      return frame;
    },
    more: () => Promise.resolve(),
    get done() {
      return left.length === 0;
    },
    close() {
      left = [];
    },
  });
}
