import type { GatewayCondition } from "./types.ts";

/** A condition that says yes. */
export function yes(type: string, reason = type, message = ""): GatewayCondition {
  return { type, status: "True", reason, message };
}

/** A condition that says no, and why. */
export function no(type: string, reason: string, message: string): GatewayCondition {
  return { type, status: "False", reason, message };
}

/** A fault in a reference: a reason of the specification, and a sentence that names what is wrong. */
export interface RefFault {
  readonly reason: string;
  readonly message: string;
}

/** The condition `ResolvedRefs` for the first of some faults. */
export function resolvedRefs(faults: readonly RefFault[]): GatewayCondition {
  const [first] = faults;
  return first
    ? no(
        "ResolvedRefs",
        first.reason,
        faults
          .map(({ message }) => message)
          .join("; ")
          .slice(0, 1024),
      )
    : yes("ResolvedRefs");
}

/** With the generation they are about. */
export function observed(conditions: readonly GatewayCondition[], generation: number | undefined): GatewayCondition[] {
  return conditions.map((condition) => ({ ...condition, observedGeneration: generation ?? 0 }));
}
