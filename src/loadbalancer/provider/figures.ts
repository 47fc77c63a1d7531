import type { Clock, Metrics } from "../../system/index.ts";
import { ProviderFailure, type LoadBalancerProvider } from "./contract.ts";

const buckets = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** The same provider, whose calls are counted by what came of them: `done`, `pending`, the reason of a failure, or `error` for a fault of its own. */
export function withFigures<T>(
  provider: LoadBalancerProvider<T>,
  metrics: Metrics,
  clock: Pick<Clock, "now">,
): LoadBalancerProvider<T> {
  const durations = metrics.histogram(
    "fairlead_provider_call_duration_seconds",
    "Time of calls of a provider of load balancers, by what came of them.",
    ["provider", "call", "outcome"],
    buckets,
  );

  async function timed<R>(call: string, ask: () => Promise<R>, outcomeOf: (result: R) => string): Promise<R> {
    const began = clock.now();
    const tell = (outcome: string) => durations(provider.name, call, outcome).observe((clock.now() - began) / 1000);
    try {
      const result = await ask();
      tell(outcomeOf(result));
      return result;
    } catch (error) {
      tell(error instanceof ProviderFailure ? error.reason : "error");
      throw error;
    }
  }

  const { ingressController, lookAgain } = provider;
  return {
    name: provider.name,
    loadBalancerClass: provider.loadBalancerClass,
    ...(ingressController === undefined ? {} : { ingressController }),
    ...(lookAgain === undefined ? {} : { lookAgain }),
    // How long it listens is no figure of a call.
    ...(provider.watch
      ? { watch: async (cluster, onChange, signal) => provider.watch?.(cluster, onChange, signal) }
      : {}),
    capabilities: provider.capabilities,
    list: (cluster, signal) =>
      timed(
        "list",
        () => provider.list(cluster, signal),
        () => "done",
      ),
    observe: (key, signal) =>
      timed(
        "observe",
        () => provider.observe(key, signal),
        () => "done",
      ),
    apply: (step, signal) =>
      timed(
        "apply",
        () => provider.apply(step, signal),
        (result) => (result.state === "failed" ? result.reason : result.state),
      ),
    plan: (desired, observed) => provider.plan(desired, observed),
    planRemoval: (observed) => provider.planRemoval(observed),
    addresses: (observed) => provider.addresses(observed),
  };
}
