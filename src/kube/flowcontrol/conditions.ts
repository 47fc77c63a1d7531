import { fault, type Faults } from "../validation/fault.ts";

/** Faults of the conditions of a flow schema or a priority level: each type once. */
export function* validateLevelConditions(conditions: readonly { readonly type?: string }[]): Faults {
  const types = new Set<string>();
  for (const [i, { type = "" }] of conditions.entries()) {
    const path = `status.conditions[${i}].type`;
    if (types.has(type)) yield fault.duplicate(path, type);
    types.add(type);
    if (type === "") yield fault.required(path, "must not be empty");
  }
}
