import { messageOf } from "../../client/index.ts";
import type { Clock, Logger } from "../../system/index.ts";
import { ProviderFailure, type LoadBalancerProvider } from "./contract.ts";

export interface RenewalOptions {
  /** Makes the provider anew: with what its files and variables say by then. */
  readonly create: () => Promise<LoadBalancerProvider>;
  readonly clock: Clock;
  readonly log: Logger;
}

const never = () => false;
/** Milliseconds between two renewals: credentials that are wrong stay wrong for a while. */
const least = 5_000;

/**
 * A provider reads its credentials when it is made. Where the other side does not take them, it is made anew, once, and the call is tried again: a
 * password, key or file that was changed meanwhile needs no restart.
 */
export function withRenewal(first: LoadBalancerProvider, options: RenewalOptions): LoadBalancerProvider {
  const { create, clock, log } = options;
  let current = first;
  let renewing: Promise<LoadBalancerProvider> | undefined;
  let last = Number.NEGATIVE_INFINITY;

  async function renewed(): Promise<LoadBalancerProvider> {
    last = clock.now();
    try {
      current = await create();
      log.info({}, "the credentials were not taken: they are read anew");
    } catch (error) {
      throw new ProviderFailure("Credentials", `the configuration cannot be read anew: ${messageOf(error)}`);
    }
    return current;
  }

  /** Undefined: it was done just now. */
  async function another(failed: LoadBalancerProvider): Promise<LoadBalancerProvider | undefined> {
    if (current !== failed) return current;
    if (!renewing && clock.now() - last < least) return undefined;
    const mine = (renewing ??= renewed());
    try {
      return await mine;
    } finally {
      if (renewing === mine) renewing = undefined;
    }
  }

  async function retried<T>(work: (one: LoadBalancerProvider) => Promise<T>, isRefused: (result: T) => boolean) {
    const one = current;
    const result = await work(one).catch((error: unknown) => {
      if (error instanceof ProviderFailure && error.reason === "Credentials") return error;
      throw error;
    });
    const isError = result instanceof ProviderFailure;
    if (!isError && !isRefused(result)) return result;
    const next = await another(one);
    if (next) return work(next);
    if (isError) throw result;
    return result;
  }

  return {
    ...first,
    list: (cluster, signal) => retried((one) => one.list(cluster, signal), never),
    observe: (key, signal) => retried((one) => one.observe(key, signal), never),
    plan: (desired, observed) => current.plan(desired, observed),
    planRemoval: (observed) => current.planRemoval(observed),
    apply: (step, signal) =>
      retried(
        (one) => one.apply(step, signal),
        (result) => result.state === "failed" && result.reason === "Credentials",
      ),
    addresses: (observed) => current.addresses(observed),
    ...(first.watch ? { watch: async (cluster, onChange, signal) => current.watch?.(cluster, onChange, signal) } : {}),
  };
}
