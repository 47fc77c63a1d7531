import type { Metrics } from "../../system/index.ts";
import type { Condition } from "./availability.ts";

/** Whether the servers behind APIServices answer, under kube-aggregator's names. */
export interface AggregationFigures {
  /** An APIService was looked at. */
  looked(name: string, condition: Condition): void;
  /** It is no longer there. */
  gone(name: string): void;
}

/** Names of APIServices come from users: those beyond so many are not told. */
const mostNames = 200;

export function createAggregationFigures(metrics: Metrics): AggregationFigures {
  const now = metrics.gauge(
    "aggregator_unavailable_apiservice",
    "1 while the server behind an APIService does not answer.",
    ["name"],
  );
  const times = metrics.counter(
    "aggregator_unavailable_apiservice_total",
    "How often an APIService was found to be unavailable, by the reason of its condition.",
    ["name", "reason"],
  );
  const named = new Set<string>();
  const values = new Map<string, number>();
  return {
    looked(name, { status, reason }) {
      if (!named.has(name)) {
        if (named.size >= mostNames) return;
        named.add(name);
        now(name).from(() => values.get(name));
      }
      values.set(name, status === "True" ? 0 : 1);
      if (status !== "True") times(name, reason ?? "").inc();
    },
    gone: (name) => void values.delete(name),
  };
}
