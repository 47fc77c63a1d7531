import { createStrategy } from "../base-strategy.ts";
import { resources } from "../resource.ts";
import { isPathSegment } from "../values/names.ts";
import { fault } from "../validation/fault.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { validateRules } from "./rules.ts";

export const roleStrategy = createStrategy(resources.Role, {
  name: isPathSegment,
  allowCreateOnUpdate: true,
  validate: (role) => validateRules(role.rules ?? [], true),
});

export const clusterRoleStrategy = createStrategy(resources.ClusterRole, {
  name: isPathSegment,
  allowCreateOnUpdate: true,
  *validate(role) {
    yield* validateRules(role.rules ?? [], false);
    if (!role.aggregationRule) return;
    const selectors = role.aggregationRule.clusterRoleSelectors ?? [];
    const path = "aggregationRule.clusterRoleSelectors";
    if (selectors.length === 0)
      yield fault.required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil");
    for (const [i, selector] of selectors.entries()) {
      yield* validateLabelSelector(selector, `${path}[${i}]`);
    }
  },
});
