import { isQualifiedName, isConditionReason } from "../values/names.ts";
import { fault, invalids, type Faults } from "./fault.ts";
import { validateOneOf } from "./ports.ts";

const longestReason = 1024;
const longestMessage = 32 * 1024;

/** A condition as `metav1.Condition` has it. */
interface GivenCondition {
  readonly type?: string;
  readonly status?: string;
  readonly observedGeneration?: number;
  readonly lastTransitionTime?: string | null;
  readonly reason?: string;
  readonly message?: string;
}

/** Faults of conditions of the common form: each type once, each with a status, a time and a reason. */
export function* validateConditions(conditions: readonly GivenCondition[], path: string): Faults {
  const types = new Set<string>();
  for (const [i, condition] of conditions.entries()) {
    const { type = "", status = "", observedGeneration = 0, lastTransitionTime, reason = "", message = "" } = condition;
    const at = `${path}[${i}]`;
    if (types.has(type)) yield fault.duplicate(`${at}.type`, type);
    types.add(type);
    yield* invalids(`${at}.type`, type, isQualifiedName(type));
    yield* validateOneOf(status, ["False", "True", "Unknown"], `${at}.status`);
    if (observedGeneration < 0)
      yield fault.invalid(`${at}.observedGeneration`, observedGeneration, "must be greater than or equal to zero");
    if (!lastTransitionTime) yield fault.required(`${at}.lastTransitionTime`);
    if (reason === "") yield fault.required(`${at}.reason`);
    else {
      yield* invalids(`${at}.reason`, reason, isConditionReason(reason));
      if (Buffer.byteLength(reason) > longestReason) yield fault.tooLong(`${at}.reason`, longestReason);
    }
    if (Buffer.byteLength(message) > longestMessage) yield fault.tooLong(`${at}.message`, longestMessage);
  }
}
