import type { Clock } from "../../system/index.ts";

/** Where connections to Services without an endpoint wait for one. */
export interface WaitingRoom {
  /** Resolves with true when the Service was changed and `there` says yes; with false when that does not come in time, or too many wait already. */
  wait(service: string, seconds: number, there: () => boolean): Promise<boolean>;
  /** The Service has changed. */
  wake(service: string): void;
  readonly count: number;
}

/** Connections that wait for one Service; those beyond are refused. */
const most = 1_024;

/** @param first is told of a Service for which somebody waits, where nobody did */
export function createWaitingRoom(options: {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly first?: (service: string) => void;
}): WaitingRoom {
  const { clock, signal } = options;
  const rooms = new Map<string, Set<AbortController>>();
  const theres = new WeakMap<AbortController, () => boolean>();
  let count = 0;
  const end = (): void => {
    for (const room of rooms.values()) for (const ended of room) ended.abort("the proxy ends");
  };
  signal.addEventListener("abort", end, { once: true });
  return {
    get count() {
      return count;
    },
    async wait(service, seconds, there) {
      const room = rooms.get(service) ?? new Set();
      if (room.size >= most || signal.aborted) return false;
      if (room.size === 0) options.first?.(service);
      rooms.set(service, room);
      const ended = new AbortController();
      theres.set(ended, there);
      room.add(ended);
      count++;
      await clock.sleep(seconds * 1000, ended.signal).catch(() => {});
      count--;
      room.delete(ended);
      if (room.size === 0 && rooms.get(service) === room) rooms.delete(service);
      return ended.signal.aborted && !signal.aborted;
    },
    wake(service) {
      for (const ended of rooms.get(service) ?? []) if (theres.get(ended)?.()) ended.abort("there is an endpoint");
    },
  };
}
