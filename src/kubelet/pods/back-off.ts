/** How long a container that ends again and again waits before its next start. */
export interface RestartBackOff {
  /** Milliseconds until `key`, which ended at `finishedAt`, may start again; 0 for now. */
  remaining(key: string, finishedAt: number): number;
  /** The present delay in milliseconds; 0 before the first restart. */
  delay(key: string): number;
  /** Takes note of a restart: the next one waits twice as long. */
  restarted(key: string, finishedAt: number): void;
  /** Forgets all keys that begin with `prefix`. */
  forget(prefix: string): void;
}

const first = 10_000;
const most = 300_000;
/** A container that ran this long since its last restart begins anew. */
const calm = 600_000;

/** The kubelet's: 10 s doubling to 5 minutes. The first restart is at once. */
export function createRestartBackOff(now: () => number): RestartBackOff {
  const entries = new Map<string, { delay: number; at: number }>();
  const current = (key: string, finishedAt: number): { delay: number; at: number } | undefined => {
    const entry = entries.get(key);
    return entry && finishedAt - entry.at <= calm ? entry : undefined;
  };
  return {
    remaining: (key, finishedAt) => Math.max(0, finishedAt + (current(key, finishedAt)?.delay ?? 0) - now()),
    delay: (key) => entries.get(key)?.delay ?? 0,
    restarted(key, finishedAt) {
      const entry = current(key, finishedAt);
      entries.set(key, { delay: entry ? Math.min(entry.delay * 2, most) : first, at: now() });
    },
    forget(prefix) {
      for (const key of entries.keys()) if (key.startsWith(prefix)) entries.delete(key);
    },
  };
}
