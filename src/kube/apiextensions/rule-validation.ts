import type { CelModule } from "../load-cel.ts";
import type { Compiled } from "../cel/index.ts";
import { compileRules, nodesWithRules } from "../structural/rules.ts";
import type { JsonSchema, ValidationRule } from "../structural/json-schema.ts";
import { fault, type Faults } from "../validation/fault.ts";

/** Bytes of the largest object: what nothing else bounds, this does. */
const largest = 3 * 1024 * 1024;

/**
 * Faults of the rules of a schema whose structure is good: what does not compile, `oldSelf` where old and new can not be told to belong
 * together, and what could cost too much (apiextensions' `ValidateCustomResourceDefinitionOpenAPISchema`).
 */
export function* validateRules(
  cel: CelModule,
  root: JsonSchema,
  path: string,
  { costs = true }: { costs?: boolean } = {},
): Faults {
  const blocked = uncorrelated(root, path);
  const { estimatedPerRule, estimatedPerDefinition } = cel.costLimits;
  const spent: { at: string; cost: number }[] = [];
  for (const { schema, path: at, times, isRoot } of nodesWithRules(root, path)) {
    const often = times === Infinity ? largest / 3 : times;
    for (const [i, one] of compileRules(cel, schema, isRoot).entries()) {
      const place = `${at}.x-kubernetes-validations[${i}]`;
      if (one.problem !== undefined) yield fault.invalid(`${place}.rule`, shownRule(one.rule), one.problem);
      if (one.messageProblem !== undefined)
        yield fault.invalid(`${place}.messageExpression`, shownRule(one.rule), one.messageProblem);
      const programs: [string, string, Compiled | undefined][] = [
        ["rule", "estimated rule cost", one.program],
        ["messageExpression", "estimated messageExpression cost", one.message],
      ];
      for (const [field, name, program] of programs) {
        if (!program || !costs) continue;
        const cost = program.estimate().max * (field === "rule" ? often : 1);
        spent.push({ at: `${place}.${field}`, cost });
        if (cost > estimatedPerRule) yield fault.forbidden(`${place}.${field}`, costText(name, cost, estimatedPerRule));
      }
      if (one.usesOld) {
        const where = blocked.get(schema);
        if (where !== undefined)
          yield fault.invalid(
            `${place}.rule`,
            one.rule.rule,
            `oldSelf cannot be used on the uncorrelatable portion of the schema within ${where}`,
          );
      } else if (one.program && one.rule.optionalOldSelf !== undefined)
        yield fault.invalid(
          `${place}.optionalOldSelf`,
          one.rule.optionalOldSelf,
          "may not be set if oldSelf is not used in rule",
        );
    }
  }
  const total = spent.reduce((sum, { cost }) => sum + cost, 0);
  if (total <= estimatedPerDefinition) return;
  // What costs less than a hundredth of what is allowed is not to blame.
  const heavy = spent.filter(({ cost }) => cost >= estimatedPerDefinition / 100);
  const most = heavy.sort((a, b) => b.cost - a.cost).slice(0, 4);
  for (const { at } of most)
    yield fault.forbidden(
      at,
      "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema",
    );
  yield fault.forbidden(
    path,
    costText(
      "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema",
      total,
      estimatedPerDefinition,
    ),
  );
}

/** Nodes inside of lists whose items have no identity, with the place of the list. */
function uncorrelated(root: JsonSchema, path: string): ReadonlyMap<JsonSchema, string> {
  const found = new Map<JsonSchema, string>();
  const visit = (schema: JsonSchema, at: string, within: string | undefined): void => {
    if (within !== undefined) found.set(schema, within);
    const { items, properties = {}, additionalProperties: values } = schema;
    if (items && !Array.isArray(items)) {
      const open = within ?? (schema["x-kubernetes-list-type"] === "map" ? undefined : at);
      visit(items as JsonSchema, `${at}.items`, open);
    }
    if (typeof values === "object") visit(values, `${at}.additionalProperties`, within);
    for (const [name, property] of Object.entries(properties)) visit(property, `${at}.properties[${name}]`, within);
  };
  visit(root, path, undefined);
  return found;
}

/** A rule as Go shows it. */
function shownRule({ rule, message, messageExpression, reason, fieldPath, optionalOldSelf }: ValidationRule): object {
  return {
    Rule: rule,
    Message: message ?? "",
    MessageExpression: messageExpression ?? "",
    Reason: reason ?? null,
    FieldPath: fieldPath ?? "",
    OptionalOldSelf: optionalOldSelf ?? null,
  };
}

function costText(name: string, cost: number, limit: number): string {
  const times = cost / limit;
  const factor = times > 100 ? "more than 100x" : `${times.toFixed(times < 1.5 ? 6 : 1)}x`;
  return (
    `${name} exceeds budget by factor of ${factor} ` +
    "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
  );
}
