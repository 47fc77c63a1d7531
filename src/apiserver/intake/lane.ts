import { performance } from "node:perf_hooks";
import type { ApiHandler } from "../handler.ts";

/** What a lane looks at, and how it waits. */
export interface LaneOptions {
  /** Requests over the network that are worked on now; those that go on for as long as they like are not among them. */
  readonly underWay: () => number;
  /** Default: that of this process. */
  readonly loop?: EventLoop;
}

/** The event loop, as far as a lane is concerned. All in milliseconds. */
export interface EventLoop {
  now(): number;
  /** For how long it has waited for something to do, since it began. */
  idle(): number;
  later(milliseconds: number, call: () => void): void;
}

/**
 * The lane of those who are in no hurry: of work that follows from what clients wrote, in the process that also answers them. It waits only
 * while requests over the network are under way and keep the event loop busy; and then it has a share all the same.
 */
export interface Lane {
  /** Nothing: go on at once. Else settles when it is the caller's turn, in the order of the calls. */
  enter(): Promise<void> | undefined;
}

/** Milliseconds between two turns while the loop is busy: so many turns there are at least. */
const period = 10;
/** Part of the time for which a loop that is not busy is idle. */
const spare = 0.2;
/** Turns at once at most, when the loop turns out to have time: a burst would hold up the next request. */
const burst = 16;
/** Milliseconds after which the loop is looked at anew. */
const window = 10;

export function createLane({ underWay, loop = eventLoop }: LaneOptions): Lane {
  const waiting: (() => void)[] = [];
  let seen = { at: loop.now(), idle: loop.idle() };
  let isBusy = false;

  const look = (): number => {
    const at = loop.now();
    const idle = loop.idle();
    const passed = at - seen.at;
    if (passed > 0) isBusy = idle - seen.idle < spare * passed;
    seen = { at, idle };
    return passed;
  };
  const turn = (): void => {
    const passed = look();
    const due = Math.max(1, Math.floor(passed / period));
    const turns = underWay() === 0 ? waiting.length : isBusy ? due : Math.max(burst, due);
    for (const go of waiting.splice(0, turns)) go();
    if (waiting.length > 0) loop.later(period, turn);
  };

  return {
    enter() {
      if (waiting.length === 0) {
        if (underWay() === 0) return undefined;
        if (loop.now() - seen.at >= window) look();
        if (!isBusy) return undefined;
        loop.later(period, turn);
      }
      return new Promise((resolve) => {
        waiting.push(resolve);
      });
    },
  };
}

const eventLoop: EventLoop = {
  now: () => performance.now(),
  idle: () => performance.eventLoopUtilization().idle,
  later: (milliseconds, call) => void setTimeout(call, milliseconds),
};

/** The same API for who gives way: writes wait in the lane, reads and watches do not. */
export function givingWay(handler: ApiHandler, lane: Lane): ApiHandler {
  return {
    ...handler,
    handle(request) {
      const waiting = request.method === "GET" || request.method === "HEAD" ? undefined : lane.enter();
      return waiting ? waiting.then(() => handler.handle(request)) : handler.handle(request);
    },
  };
}
