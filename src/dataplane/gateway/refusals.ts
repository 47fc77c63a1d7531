import {
  type GatewayCondition,
  type ParentStatus,
  type RoutingModel,
  routesOf,
  streamsOf,
  textOf,
} from "../../routing/index.ts";
import type { Feature, Refusal } from "../dataplane.ts";

/** What the data plane cannot do of each object, by `Kind namespace/name`. */
export type Refusals = ReadonlyMap<string, ReadonlySet<Feature>>;

export function refusalsByObject(model: RoutingModel, refused: readonly Refusal[]): Refusals {
  const found = new Map<string, Set<Feature>>();
  if (refused.length === 0) return found;
  const features = new Map<string, Set<Feature>>();
  for (const { route, feature } of refused) {
    const known = features.get(route);
    if (known) known.add(feature);
    else features.set(route, new Set([feature]));
  }
  for (const listener of model.listeners)
    for (const { id, owner } of [...routesOf(listener), ...streamsOf(listener)]) {
      const lacking = features.get(id);
      if (!lacking) continue;
      const key = textOf(owner.object);
      found.set(key, new Set([...(found.get(key) ?? []), ...lacking]));
    }
  return found;
}

/** Parents of a route some of which the data plane does not serve: they are not accepted, and it is said what is missing. */
export function withRefusals(
  parents: readonly ParentStatus[],
  lacking: ReadonlySet<Feature> | undefined,
): readonly ParentStatus[] {
  if (!lacking || lacking.size === 0) return parents;
  const message = `the data plane cannot do: ${[...lacking].sort().join(", ")}`;
  return parents.map((parent) => ({
    ...parent,
    conditions: parent.conditions.map((condition): GatewayCondition =>
      condition.type === "Accepted" && condition.status === "True"
        ? { ...condition, status: "False", reason: "UnsupportedValue", message }
        : condition,
    ),
  }));
}
