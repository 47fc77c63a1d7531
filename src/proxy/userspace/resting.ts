import type { Listener } from "./listener.ts";
import type { Target } from "./target.ts";

/** A listener whose clients can be led by another target from now on. */
export interface Aimed {
  readonly listener: Listener;
  aim(target: Target): void;
}

/**
 * Listeners of a user space that was switched away from: they stay open for those who have connected and are not accepted yet. When user
 * space serves again meanwhile, it goes on with them, for their places are taken.
 */
export interface Resting {
  rest(place: string, aimed: Aimed): void;
  /** The one that is open there; it rests no more. */
  take(place: string): Aimed | undefined;
  /** Closes it if it still rests. */
  close(place: string, aimed: Aimed): void;
}

export function createResting(): Resting {
  const open = new Map<string, Aimed>();
  return {
    rest(place, aimed) {
      open.get(place)?.listener.close();
      open.set(place, aimed);
    },
    take(place) {
      const aimed = open.get(place);
      open.delete(place);
      // Another object, so that who put it to rest before does not close it when it rests again.
      if (aimed?.listener.actualPort !== undefined) return { ...aimed };
      aimed?.listener.close();
      return undefined;
    },
    close(place, aimed) {
      if (open.get(place) !== aimed) return;
      open.delete(place);
      aimed.listener.close();
    },
  };
}

/** A target that leads as another does, which can be changed. */
export function createAim(first: Target): { readonly target: Target; aim(next: Target): void } {
  let now = first;
  return {
    target: {
      endpointsFor: (client) => now.endpointsFor(client),
      reached: (client, endpoint) => now.reached(client, endpoint),
      began: (client, endpoint) => now.began(client, endpoint),
      failed: (endpoint) => now.failed(endpoint),
      hold: (client) => now.hold(client),
      came: (from) => now.came(from),
    },
    aim(next) {
      now = next;
    },
  };
}
