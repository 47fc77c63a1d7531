import type { Cel, CelModule } from "../../../kube/index.ts";
import type { UserInfo } from "../../handler.ts";
import type { Claims } from "../verify.ts";
import { AuthenticationConfigurationError, type Expression, type JwtIssuer } from "./configuration.ts";

/** Who a token with these claims is for. Throws Error when they break a rule or lack what is needed. */
export type ClaimMapping = (claims: Claims) => UserInfo;

type Compiled = Cel.Compiled;

/** The mapping of one issuer; its expressions are read once. Throws AuthenticationConfigurationError for one that is wrong. */
export function createClaimMapping(
  { claimMappings, claimValidationRules, userValidationRules }: JwtIssuer,
  cel: CelModule | undefined,
): ClaimMapping {
  const compile = (expression: string, variable: "claims" | "user"): Compiled => {
    if (!cel) throw new AuthenticationConfigurationError("expressions are not available here");
    const compiled = cel.compileExpression(expression, { variables: { [variable]: cel.dyn } });
    if (compiled.ok) return compiled;
    throw new AuthenticationConfigurationError(
      `the expression ${JSON.stringify(expression)} is wrong: ${compiled.message}`,
    );
  };
  const run = (compiled: Compiled, variable: "claims" | "user", value: unknown): unknown => {
    const result = compiled.evaluate({ [variable]: cel?.dynamicValue(value) });
    if (result.error !== undefined) throw new Error(`an expression about ${variable} failed: ${result.error}`);
    if (result.value === undefined) throw new Error(`an expression about ${variable} costs too much`);
    return cel?.toJson(result.value);
  };
  const reader = <T extends { readonly claim: string }>(
    mapping: T | Expression,
    byClaim: (claims: Claims, mapping: T) => unknown,
  ): ((claims: Claims) => unknown) => {
    if (!("expression" in mapping)) return (claims) => byClaim(claims, mapping);
    const compiled = compile(mapping.expression, "claims");
    return (claims) => run(compiled, "claims", claims);
  };

  const rules = claimValidationRules.map((rule): ((claims: Claims) => void) => {
    if ("claim" in rule)
      return (claims) => {
        if (claims[rule.claim] !== rule.requiredValue)
          throw new Error(`claim ${rule.claim} is not ${JSON.stringify(rule.requiredValue)}`);
      };
    const compiled = compile(rule.expression, "claims");
    return (claims) => {
      if (run(compiled, "claims", claims) !== true) throw new Error(rule.message || `not true: ${rule.expression}`);
    };
  });
  const username = reader(claimMappings.username, nameIn);
  const groups = claimMappings.groups && reader(claimMappings.groups, groupsIn);
  const uid = claimMappings.uid && reader(claimMappings.uid, (claims, { claim }) => claims[claim]);
  const extras = claimMappings.extra.map(({ key, valueExpression }) => ({
    key,
    value: compile(valueExpression, "claims"),
  }));
  const userRules = userValidationRules.map(({ expression, message }) => ({
    compiled: compile(expression, "user"),
    message: message || `not true: ${expression}`,
  }));

  return (claims) => {
    for (const check of rules) check(claims);
    const name = username(claims);
    if (typeof name !== "string" || name === "") throw new Error("the token names no user");
    const id = uid?.(claims);
    const extra = Object.fromEntries(
      extras.flatMap(({ key, value }) => {
        const values = textsOf(run(value, "claims", claims), `extra ${key}`).filter((one) => one !== "");
        return values.length > 0 ? [[key, values] as const] : [];
      }),
    );
    const user: UserInfo = {
      name,
      groups: groups ? textsOf(groups(claims), "groups") : [],
      ...(typeof id === "string" && id !== "" ? { uid: id } : {}),
      ...(Object.keys(extra).length > 0 ? { extra } : {}),
    };
    const seen = { username: user.name, uid: user.uid ?? "", groups: [...user.groups], extra };
    for (const { compiled, message } of userRules) if (run(compiled, "user", seen) !== true) throw new Error(message);
    return user;
  };
}

function nameIn(claims: Claims, { claim, prefix }: { readonly claim: string; readonly prefix: string }): string {
  const name = claims[claim];
  if (typeof name !== "string" || name === "") throw new Error(`the token has no claim ${claim}`);
  // An address that nobody checked is anybody's.
  const verified = claims["email_verified"];
  if (claim === "email" && verified !== undefined && verified !== true) throw new Error("email not verified");
  return prefix + name;
}

function groupsIn(claims: Claims, { claim, prefix }: { readonly claim: string; readonly prefix: string }): string[] {
  return textsOf(claims[claim], `claim ${claim}`).map((group) => prefix + group);
}

/** One text or a list of them; nothing is none. */
function textsOf(value: unknown, what: string): string[] {
  if (value === undefined || value === null || value === "") return [];
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.map((one) => {
    if (typeof one !== "string") throw new Error(`${what} must be a text or a list of texts`);
    return one;
  });
}
