import { type Listener, type Retry, routesOfHost } from "../routing/index.ts";
import type { Refusal } from "./dataplane.ts";
import { gatherHosts } from "./hosts.ts";

/** Conditions of another try, as far as only the configuration of HAProxy and nginx can say them. */
export type NamedRetry = Retry & Required<Pick<Retry, "only">>;

/** Sets of them that HAProxy and nginx have at once; routes beyond follow the default. */
export const mostRetrySets = 16;

const names = new WeakMap<Retry, string>();

/** A set of conditions in letters, digits and `-`: the same for the same. `undefined` for retries of HTTPRoutes. */
export function retryName(retry: Retry | undefined): string | undefined {
  if (!retry?.only) return undefined;
  let name = names.get(retry);
  if (name === undefined) {
    const { codes, attempts, only } = retry;
    const letters = only.failures.map((failure) => failure.slice(0, 1)).join("");
    const parts = [`${letters}${only.nonIdempotent ? "n" : ""}`, ...codes.map(String), `x${attempts}`];
    names.set(retry, (name = [...parts, ...(only.within > 0 ? [`w${only.within}`] : [])].join("-")));
  }
  return name;
}

interface Asking {
  readonly route: string;
  readonly name: string;
}

/** Routes that ask for sets. */
const askingOf = gatherHosts((host): readonly Asking[] | undefined => {
  const asking = [...routesOfHost(host)].flatMap(({ id, rule }) => {
    const name = retryName(rule.retry);
    return name === undefined ? [] : [{ route: id, name }];
  });
  return asking.length === 0 ? undefined : asking;
});

/** Names of the sets that are there, and the routes that must do without theirs. */
export function retrySetsOf(listeners: readonly Listener[]): {
  readonly names: ReadonlySet<string>;
  readonly refused: readonly Refusal[];
} {
  const asking = listeners.flatMap((listener) => askingOf(listener).flat());
  const all = [...new Set(asking.map(({ name }) => name))].sort().slice(0, mostRetrySets);
  const served = new Set(all);
  return {
    names: served,
    refused: asking.flatMap(({ route, name }) =>
      served.has(name) ? [] : [{ route, feature: "NextUpstream" as const }],
    ),
  };
}
