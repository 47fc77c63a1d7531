import { validateAmount, validateAtMostAll } from "../apps/rolling-update.ts";
import { createStrategy } from "../base-strategy.ts";
import { resources } from "../resource.ts";
import { fault } from "../validation/fault.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { validateNonNegative } from "../validation/metadata.ts";
import { validateOneOf } from "../validation/ports.ts";
import { isPathSegment } from "../values/names.ts";

const counts = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] as const;

export const podDisruptionBudgetStrategy = createStrategy(resources.PodDisruptionBudget, {
  allowUnconditionalUpdate: false,
  // Budgets are never DNS names: what can stand in a path is a name.
  name: isPathSegment,
  generationOf: (budget) => budget.spec,
  *validate({ spec }) {
    if (spec.minAvailable !== undefined && spec.maxUnavailable !== undefined) {
      const { minAvailable: MinAvailable, maxUnavailable: MaxUnavailable, selector: Selector = null } = spec;
      // Upstream shows its internal names here.
      const shown = { MinAvailable, Selector, MaxUnavailable, UnhealthyPodEvictionPolicy: null };
      yield fault.invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set");
    }
    for (const field of ["minAvailable", "maxUnavailable"] as const) {
      const amount = spec[field];
      if (amount === undefined) continue;
      yield* validateAmount(amount, `spec.${field}`);
      yield* validateAtMostAll(amount, `spec.${field}`);
    }
    yield* validateLabelSelector(spec.selector, "spec.selector");
    if (spec.unhealthyPodEvictionPolicy !== undefined) {
      const path = "spec.unhealthyPodEvictionPolicy";
      yield* validateOneOf(spec.unhealthyPodEvictionPolicy, ["AlwaysAllow", "IfHealthyBudget"], path);
    }
  },
  *validateStatus({ status }) {
    for (const field of counts) yield* validateNonNegative(status?.[field], `status.${field}`);
  },
});
