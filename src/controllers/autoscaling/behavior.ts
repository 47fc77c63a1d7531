import type { HorizontalPodAutoscalerBehavior, HPAScalingPolicy, HPAScalingRules } from "../../kube/index.ts";

/** What an autoscaler has wanted and done lately. Times in milliseconds. */
export interface Past {
  readonly wanted: readonly { readonly replicas: number; readonly at: number }[];
  /** Changes of the number: positive ones and negative ones. */
  readonly changes: readonly { readonly by: number; readonly at: number }[];
}

export const noPast: Past = { wanted: [], changes: [] };

const defaults = {
  scaleUp: {
    stabilizationWindowSeconds: 0,
    selectPolicy: "Max",
    policies: [
      { type: "Pods", value: 4, periodSeconds: 15 },
      { type: "Percent", value: 100, periodSeconds: 15 },
    ],
  },
  scaleDown: {
    stabilizationWindowSeconds: 300,
    selectPolicy: "Max",
    policies: [{ type: "Percent", value: 100, periodSeconds: 15 }],
  },
} satisfies HorizontalPodAutoscalerBehavior;

/** Milliseconds that the past is remembered: the longest window and the longest period there may be. */
export const memory = 3_600_000;

export interface Limited {
  readonly replicas: number;
  /** A condition's reason and message when less is done than is wanted, for the sake of stability or of a limit. */
  readonly stabilized?: { readonly reason: string; readonly message: string };
  readonly limited: { readonly status: "True" | "False"; readonly reason: string; readonly message: string };
}

/** How far an autoscaler may go now towards what it wants (KEP-853). */
export function limit(
  {
    minReplicas = 1,
    maxReplicas,
    behavior,
  }: {
    readonly minReplicas?: number;
    readonly maxReplicas: number;
    readonly behavior?: HorizontalPodAutoscalerBehavior;
  },
  current: number,
  wanted: number,
  past: Past,
  now: number,
): Limited {
  const up: HPAScalingRules = { ...defaults.scaleUp, ...behavior?.scaleUp };
  const down: HPAScalingRules = { ...defaults.scaleDown, ...behavior?.scaleDown };
  const within = (rules: HPAScalingRules): number[] =>
    past.wanted
      .filter(({ at }) => at > now - (rules.stabilizationWindowSeconds ?? 0) * 1000)
      .map(({ replicas }) => replicas);
  // Up to the least, and down to the most, that was wanted in the window.
  const upper = Math.min(wanted, ...within(up));
  const lower = Math.max(wanted, ...within(down));
  const steady = current < upper ? upper : current > lower ? lower : current;
  const stabilized =
    steady === wanted
      ? {}
      : steady > wanted
        ? {
            stabilized: {
              reason: "ScaleDownStabilized",
              message:
                "recent recommendations were higher than current one, applying the highest recent recommendation",
            },
          }
        : {
            stabilized: {
              reason: "ScaleUpStabilized",
              message: "recent recommendations were lower than current one, applying the lowest recent recommendation",
            },
          };
  const fine = {
    status: "False",
    reason: "DesiredWithinRange",
    message: "the desired count is within the acceptable range",
  } as const;
  if (steady > current) {
    const most = Math.max(current, upLimit(up, current, past, now));
    if (steady > Math.min(most, maxReplicas)) {
      const limited =
        maxReplicas <= most
          ? { reason: "TooManyReplicas", message: "the desired replica count is more than the maximum replica count" }
          : {
              reason: "ScaleUpLimit",
              message: "the desired replica count is increasing faster than the maximum scale rate",
            };
      return { replicas: Math.min(most, maxReplicas), ...stabilized, limited: { status: "True", ...limited } };
    }
  } else if (steady < current) {
    const least = Math.min(current, downLimit(down, current, past, now));
    if (steady < Math.max(least, minReplicas)) {
      const limited =
        minReplicas >= least
          ? { reason: "TooFewReplicas", message: "the desired replica count is less than the minimum replica count" }
          : {
              reason: "ScaleDownLimit",
              message: "the desired replica count is decreasing faster than the maximum scale rate",
            };
      return { replicas: Math.max(least, minReplicas), ...stabilized, limited: { status: "True", ...limited } };
    }
  }
  return { replicas: steady, ...stabilized, limited: fine };
}

/** How many were there before the changes of a policy's period. */
function before(current: number, { periodSeconds }: HPAScalingPolicy, past: Past, now: number): number {
  const since = now - periodSeconds * 1000;
  return current - past.changes.reduce((sum, { by, at }) => (at > since ? sum + by : sum), 0);
}

function upLimit({ selectPolicy, policies = [] }: HPAScalingRules, current: number, past: Past, now: number): number {
  if (selectPolicy === "Disabled") return current;
  const limits = policies.map((policy) => {
    const start = before(current, policy, past, now);
    return policy.type === "Pods" ? start + policy.value : Math.ceil(start * (1 + policy.value / 100));
  });
  return selectPolicy === "Min" ? Math.min(...limits) : Math.max(...limits);
}

function downLimit({ selectPolicy, policies = [] }: HPAScalingRules, current: number, past: Past, now: number): number {
  if (selectPolicy === "Disabled") return current;
  const limits = policies.map((policy) => {
    const start = before(current, policy, past, now);
    return policy.type === "Pods" ? start - policy.value : Math.floor(start * (1 - policy.value / 100));
  });
  // The policy that changes most lets the fewest remain.
  return selectPolicy === "Min" ? Math.max(...limits) : Math.min(...limits);
}
