import type { IntOrString } from "../generated/types.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateNonNegative } from "../validation/metadata.ts";
import { percentOf } from "../values/intstr.ts";
import { isPercent } from "../values/names.ts";

/** A number that is not negative, or a percentage. */
export function* validateAmount(amount: IntOrString, path: string): Faults {
  if (typeof amount === "number") yield* validateNonNegative(amount, path);
  else yield* invalids(path, amount, isPercent(amount));
}

/** A percentage is of 100 at most. */
export function* validateAtMostAll(amount: IntOrString, path: string): Faults {
  if ((percentOf(amount) ?? 0) > 100) yield fault.invalid(path, amount, "must not be greater than 100%");
}

/** Nothing of anything. A text that is no percentage counts as its number. */
export const isZeroAmount = (amount: IntOrString): boolean => (percentOf(amount) ?? (Number(amount) || 0)) === 0;
