interface AnyCondition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  observedGeneration?: number;
  lastTransitionTime?: string;
}

/**
 * The list of conditions with `condition` set. `lastTransitionTime` moves to `now` only when the status changes
 * (`meta.SetStatusCondition`). When nothing changes the same list comes back, so that a caller need not write.
 */
export function setCondition<T extends AnyCondition>(
  conditions: readonly T[] | undefined,
  condition: Omit<T, "lastTransitionTime">,
  now: string,
): readonly T[] {
  const old = conditions?.find((item) => item.type === condition.type);
  const merged = {
    ...old,
    ...condition,
    lastTransitionTime: old?.status === condition.status ? (old?.lastTransitionTime ?? now) : now,
  } as unknown as T;
  if (!old) return [...(conditions ?? []), merged];
  const keys = Object.keys(merged) as (keyof T)[];
  if (conditions && keys.every((key) => merged[key] === old[key])) return conditions;
  return (conditions ?? []).map((item) => (item === old ? merged : item));
}

/** The condition of that type, if it is there. */
export function findCondition<T extends { type: string }>(
  conditions: readonly T[] | undefined,
  type: string,
): T | undefined {
  return conditions?.find((condition) => condition.type === type);
}

/** True when the condition of that type is there with status `True`. */
export function isConditionTrue(
  conditions: readonly { type: string; status: string }[] | undefined,
  type: string,
): boolean {
  return findCondition(conditions, type)?.status === "True";
}
