import {
  ProviderFailure,
  type Exposure,
  type ExposureKey,
  type FailureReason,
  type LoadBalancerProvider,
  type ProvidedAddress,
  type ProviderStep,
} from "./contract.ts";

/** How far a load balancer is. */
export type Convergence =
  | { readonly state: "done"; readonly addresses: readonly ProvidedAddress[]; readonly steps: number }
  /** Nothing more can be done before so many milliseconds. */
  | {
      readonly state: "pending";
      readonly message: string;
      readonly again: number;
      readonly addresses: readonly ProvidedAddress[];
    }
  | {
      readonly state: "failed";
      readonly reason: FailureReason;
      readonly message: string;
      readonly again?: number;
      /** Absent: it could not be seen which there are. */
      readonly addresses?: readonly ProvidedAddress[];
    };

/** Rounds of looking, planning and doing in one call, and steps in one round. */
const mostRounds = 16;
const mostSteps = 1_000;

/** Makes what exists like what should be. It may be cut off anywhere and called again: it always begins by looking. */
export function converge<T>(
  provider: LoadBalancerProvider<T>,
  desired: Exposure,
  signal: AbortSignal,
): Promise<Convergence> {
  return rounds(provider, desired.key, signal, (observed) => provider.plan(desired, observed));
}

/** Removes all that exists for a Service. `done` only when nothing is left. */
export function remove<T>(
  provider: LoadBalancerProvider<T>,
  key: ExposureKey,
  signal: AbortSignal,
): Promise<Convergence> {
  return rounds(provider, key, signal, (observed) => {
    if (observed === undefined) return [];
    const steps = provider.planRemoval(observed);
    if (steps.length > 0) return steps;
    throw new ProviderFailure("Broken", `the provider ${provider.name} sees something left, but no step to remove it`);
  });
}

async function rounds<T>(
  provider: LoadBalancerProvider<T>,
  key: ExposureKey,
  signal: AbortSignal,
  plan: (observed: T | undefined) => readonly ProviderStep[],
): Promise<Convergence> {
  let addresses: readonly ProvidedAddress[] | undefined;
  let count = 0;
  let last = "";
  try {
    for (let round = 0; round < mostRounds; round++) {
      signal.throwIfAborted();
      const observed = await provider.observe(key, signal);
      addresses = observed === undefined ? [] : provider.addresses(observed);
      const steps = plan(observed);
      const known = addresses;
      if (steps.length === 0) return { state: "done", addresses: known, steps: count };
      for (const step of steps.slice(0, mostSteps)) {
        signal.throwIfAborted();
        last = step.summary;
        const result = await provider.apply(step, signal);
        if (result.state !== "done")
          return { ...result, message: `${step.summary}: ${result.message}`, addresses: known };
        count++;
      }
    }
  } catch (error) {
    if (!(error instanceof ProviderFailure)) throw error;
    const { reason, message, again } = error;
    const more = { ...(again === undefined ? {} : { again }), ...(addresses ? { addresses } : {}) };
    return { state: "failed", reason, message, ...more };
  }
  const message = `the provider ${provider.name} does not come to an end: after ${count} steps it still wants to ${last}`;
  return { state: "failed", reason: "Broken", message, ...(addresses ? { addresses } : {}) };
}
