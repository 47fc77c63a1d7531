import { createStrategy } from "../base-strategy.ts";
import type { HPAScalingPolicy, HPAScalingRules } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { validateNonNegative } from "../validation/metadata.ts";
import { compareQuantities } from "../values/quantity.ts";
import { validateMetrics, validateTargetReference } from "./metrics.ts";

const defaultUtilization = 80;
const maxWindowSeconds = 3600;
const maxPeriodSeconds = 1800;
const scaleUpPolicies: readonly HPAScalingPolicy[] = [
  { type: "Pods", value: 4, periodSeconds: 15 },
  { type: "Percent", value: 100, periodSeconds: 15 },
];
const scaleDownPolicies: readonly HPAScalingPolicy[] = [{ type: "Percent", value: 100, periodSeconds: 15 }];

export const horizontalPodAutoscalerStrategy = createStrategy(resources.HorizontalPodAutoscaler, {
  defaults({ spec }) {
    spec.minReplicas ??= 1;
    if (!spec.metrics?.length) {
      const target = { type: "Utilization", averageUtilization: defaultUtilization };
      spec.metrics = [{ type: "Resource", resource: { name: "cpu", target } }];
    }
    if (!spec.behavior) return;
    const { scaleUp, scaleDown } = spec.behavior;
    const up = { stabilizationWindowSeconds: 0, selectPolicy: "Max", policies: [...scaleUpPolicies], ...scaleUp };
    const down = { selectPolicy: "Max", policies: [...scaleDownPolicies], ...scaleDown };
    spec.behavior = { ...spec.behavior, scaleUp: up, scaleDown: down };
  },
  *validate({ spec }, _context, old) {
    const { minReplicas, maxReplicas, behavior, scaleTargetRef: target } = spec;
    // What scales to nothing already may stay so.
    const least = old?.spec.minReplicas === 0 ? 0 : 1;
    if (minReplicas !== undefined && minReplicas < least)
      yield fault.invalid("spec.minReplicas", minReplicas, `must be greater than or equal to ${least}`);
    if (maxReplicas < 1) yield fault.invalid("spec.maxReplicas", maxReplicas, "must be greater than 0");
    if (minReplicas !== undefined && maxReplicas < minReplicas)
      yield fault.invalid("spec.maxReplicas", maxReplicas, "must be greater than or equal to `minReplicas`");
    const before = old?.spec.scaleTargetRef;
    const isSame = before !== undefined && before.apiVersion === target.apiVersion && before.kind === target.kind;
    // The only kind of the core group that is scaled.
    const group = isSame ? "any" : target.kind === "ReplicationController" ? "optional" : "needed";
    yield* validateTargetReference(target, "spec.scaleTargetRef", group);
    yield* validateMetrics(spec.metrics ?? [], minReplicas, "spec.metrics");
    if (behavior?.scaleUp) yield* validateRules(behavior.scaleUp, "spec.behavior.scaleUp");
    if (behavior?.scaleDown) yield* validateRules(behavior.scaleDown, "spec.behavior.scaleDown");
  },
  *validateStatus({ status }) {
    yield* validateNonNegative(status?.currentReplicas, "status.currentReplicas");
    yield* validateNonNegative(status?.desiredReplicas, "status.desiredReplicas");
  },
});

function* validateRules(rules: HPAScalingRules, path: string): Faults {
  const { stabilizationWindowSeconds: window, selectPolicy, policies = [], tolerance } = rules;
  const at = `${path}.stabilizationWindowSeconds`;
  if (window !== undefined && window < 0) yield fault.invalid(at, window, "must be greater than or equal to zero");
  if (window !== undefined && window > maxWindowSeconds)
    yield fault.invalid(at, window, `must be less than or equal to ${maxWindowSeconds}`);
  const selections = ["Disabled", "Max", "Min"];
  if (selectPolicy !== undefined && !selections.includes(selectPolicy))
    yield fault.notSupported(`${path}.selectPolicy`, selectPolicy, selections);
  if (policies.length === 0) yield fault.required(`${path}.policies`, "must specify at least one Policy");
  for (const [i, policy] of policies.entries()) yield* validatePolicy(policy, `${path}.policies[${i}]`);
  if (tolerance !== undefined && compareQuantities(tolerance, "0") < 0)
    yield fault.invalid(`${path}.tolerance`, tolerance, "must be greater than or equal to 0");
}

function* validatePolicy({ type, value, periodSeconds }: HPAScalingPolicy, path: string): Faults {
  const types = ["Percent", "Pods"];
  if (!types.includes(type)) yield fault.notSupported(`${path}.type`, type, types);
  if (value <= 0) yield fault.invalid(`${path}.value`, value, "must be greater than zero");
  const at = `${path}.periodSeconds`;
  if (periodSeconds <= 0) yield fault.invalid(at, periodSeconds, "must be greater than zero");
  if (periodSeconds > maxPeriodSeconds)
    yield fault.invalid(at, periodSeconds, `must be less than or equal to ${maxPeriodSeconds}`);
}
