import type { LabelSelector } from "../generated/types.ts";
import { isLabelValue, isQualifiedName } from "../values/names.ts";
import { fault, invalids, type Faults } from "./fault.ts";
import { validateLabels } from "./metadata.ts";

/** Faults of a LabelSelector. */
export function* validateLabelSelector(selector: LabelSelector | undefined, path: string): Faults {
  yield* validateLabels(selector?.matchLabels, `${path}.matchLabels`);
  for (const [i, { key, operator, values = [] }] of (selector?.matchExpressions ?? []).entries()) {
    const at = `${path}.matchExpressions[${i}]`;
    if (operator === "In" || operator === "NotIn") {
      if (values.length === 0) {
        yield fault.required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'");
      }
    } else if (operator === "Exists" || operator === "DoesNotExist") {
      if (values.length > 0) {
        yield fault.forbidden(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
      }
    } else yield fault.invalid(`${at}.operator`, operator ?? "", "not a valid selector operator");
    yield* invalids(`${at}.key`, key ?? "", isQualifiedName(key ?? ""));
    for (const [j, value] of values.entries()) yield* invalids(`${at}.values[${j}]`, value, isLabelValue(value));
  }
}
