import type { MatchCondition } from "../generated/types.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { isQualifiedName } from "../values/names.ts";
import { validateExpression, type Declared, type ExpressionCheck } from "./expressions.ts";

const most = 64;

/** Faults of the conditions under which a webhook or a policy wants to see a request (KEP-3716). */
export function* validateMatchConditions(
  conditions: readonly MatchCondition[],
  path: string,
  check: ExpressionCheck,
  declared: Declared,
): Faults {
  if (conditions.length > most) yield fault.tooMany(path, conditions.length, most);
  const names = new Set<string>();
  for (const [i, { name, expression }] of conditions.entries()) {
    const at = `${path}[${i}]`;
    const source = expression.trim();
    if (source === "") yield fault.required(`${at}.expression`);
    else yield* validateExpression(check, source, `${at}.expression`, declared, check?.bool);
    if (name === "") yield fault.required(`${at}.name`);
    else yield* invalids(`${at}.name`, name, isQualifiedName(name));
    if (name !== "" && names.has(name)) yield fault.duplicate(`${at}.name`, name);
    names.add(name);
  }
}
