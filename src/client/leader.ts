import { formatMicroTime, isStatus, type Lease, type ObjectName, resources } from "../kube/index.ts";
import type { Clock, Component, Logger } from "../system/index.ts";
import type { Client } from "./client.ts";
import { messageOf, unless } from "./outcomes.ts";

export interface LeaderOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly lease: Required<ObjectName>;
  /** Who this is: no other candidate may have the same. */
  readonly identity: string;
  /** Called when the lease is won. Its signal aborts when the lease is lost or this part stops; it must end all work then. */
  readonly lead: (signal: AbortSignal) => Promise<void>;
  /** Milliseconds that the others wait since they last saw a change. Default 15 s. */
  readonly leaseDuration?: number;
  /** Milliseconds without a renewal after which the leader gives up by itself. Default 10 s. */
  readonly renewDeadline?: number;
  /** Milliseconds between tries. Default 2 s. */
  readonly retryPeriod?: number;
}

/**
 * Does `lead` in at most one of several processes, by client-go's algorithm over a Lease. Times in the Lease are never
 * compared with the own clock: each candidate counts from when it saw the Lease change. A leader that stops gives the
 * lease free; one that loses it becomes a candidate again. `ready` settles when the lease is won for the first time.
 */
export function startLeaderElection(options: LeaderOptions): Component {
  const { client, clock, signal, lease, identity, lead } = options;
  const { leaseDuration = 15_000, renewDeadline = 10_000, retryPeriod = 2_000 } = options;
  const log = options.log.child({ lease: `${lease.namespace}/${lease.name}`, identity });
  let seen: { version: string | undefined; at: number } | undefined;

  /** Takes or renews the lease. False when someone else holds it. */
  const acquire = async (): Promise<boolean> => {
    const now = formatMicroTime(clock.now());
    const fresh = { holderIdentity: identity, leaseDurationSeconds: Math.ceil(leaseDuration / 1000), renewTime: now };
    const current = await unless(client.get(resources.Lease, lease), "NotFound");
    let written: Lease;
    if (!current) {
      const spec = { ...fresh, acquireTime: now, leaseTransitions: 0 };
      written = await client.create(resources.Lease, { metadata: { ...lease }, spec });
    } else {
      const { spec, metadata } = current;
      if (seen?.version !== metadata.resourceVersion) seen = { version: metadata.resourceVersion, at: clock.now() };
      const mine = spec.holderIdentity === identity;
      const taken =
        Boolean(spec.holderIdentity) && clock.now() < (seen?.at ?? 0) + (spec.leaseDurationSeconds ?? 0) * 1000;
      if (!mine && taken) return false;
      const won = { acquireTime: now, leaseTransitions: (spec.leaseTransitions ?? 0) + 1 };
      written = await client.update(resources.Lease, { ...current, spec: { ...spec, ...fresh, ...(mine ? {} : won) } });
    }
    seen = { version: written.metadata.resourceVersion, at: clock.now() };
    return true;
  };

  const tryAcquire = async (): Promise<boolean> => {
    try {
      return await acquire();
    } catch (error) {
      // A conflict only means that another was quicker.
      const quiet = isStatus(error, "Conflict", "AlreadyExists");
      if (!quiet && !signal.aborted) log.warn({ error: messageOf(error) }, "the lease can't be taken or renewed");
      return false;
    }
  };

  /** Jitter keeps candidates apart. */
  const pause = (): Promise<void> => clock.sleep(retryPeriod * (1 + Math.random() * 0.2), signal);

  const renew = async (): Promise<void> => {
    for (let last = clock.now(); clock.now() - last < renewDeadline;) {
      await clock.sleep(retryPeriod, signal);
      const deadline = last + renewDeadline;
      const renewed = await Promise.race([tryAcquire(), until(clock, deadline, signal)]);
      if (renewed) last = clock.now();
    }
    log.error({}, "the lease was lost");
  };

  const release = async (): Promise<void> => {
    const current = await client.get(resources.Lease, lease);
    if (current.spec.holderIdentity !== identity) return;
    await client.update(resources.Lease, {
      ...current,
      spec: { ...current.spec, holderIdentity: "", leaseDurationSeconds: 1 },
    });
  };

  let isReady: () => void = () => {};
  const ready = new Promise<void>((resolve) => (isReady = resolve));
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      while (!(await tryAcquire())) await pause();
      log.info({}, "leads");
      isReady();
      const term = new AbortController();
      const work = lead(term.signal).catch((error: unknown) =>
        log.error({ error: messageOf(error) }, "leading failed"),
      );
      try {
        await renew();
      } finally {
        term.abort();
        await work;
        if (signal.aborted) await release().catch(() => {});
      }
    }
  };
  return { name: `leader ${lease.name}`, ready, stopped: run().catch(() => {}) };
}

/** Settles with false at that time. */
async function until(clock: Clock, at: number, signal: AbortSignal): Promise<boolean> {
  await clock.sleep(Math.max(0, at - clock.now()), signal);
  return false;
}
