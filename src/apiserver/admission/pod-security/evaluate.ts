import { baselineChecks } from "./baseline.ts";
import { restrictedChecks } from "./restricted.ts";
import type { Check, CheckedPod, Violation } from "./check.ts";
import type { LevelVersion } from "./policy.ts";

const made = new Map<string, readonly Check[]>();

/** The checks of a level as of a version, in the order in which they are told. */
function checksOf({ level, minor }: LevelVersion): readonly Check[] {
  if (level === "privileged") return [];
  const key = `${level} ${Math.min(minor, 35)}`;
  let checks = made.get(key);
  if (!checks) {
    const baseline = asOf(baselineChecks, minor);
    const restricted = level === "restricted" ? asOf(restrictedChecks, minor) : [];
    const overridden = new Set(restricted.map(({ overrides }) => overrides));
    checks = [...baseline.filter(({ id }) => !overridden.has(id)), ...restricted];
    made.set(key, checks);
  }
  return checks;
}

/** Of each check the newest form that is not newer than the version. */
function asOf(checks: readonly Check[], minor: number): Check[] {
  const newest = new Map<string, Check>();
  for (const check of checks) if (check.since <= minor) newest.set(check.id, check);
  return [...newest.values()];
}

export function violations(wanted: LevelVersion, pod: CheckedPod): Violation[] {
  return checksOf(wanted).flatMap((one) => one.check(pod) ?? []);
}

/** `privileged (container "c" must not ...), host namespaces (hostPID=true)`. */
export const detailed = (found: readonly Violation[]): string =>
  found.map(({ reason, detail }) => `${reason} (${detail})`).join(", ");
