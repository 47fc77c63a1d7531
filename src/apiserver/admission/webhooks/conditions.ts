import { loadCel, type MatchCondition } from "../../../kube/index.ts";
import type { Authorizer } from "../../auth/index.ts";
import { bindingsOf, compileConditions, type Conditions as Compiled } from "../policy/index.ts";
import type { Conditions } from "./dispatch.ts";

/** Match conditions of webhooks: a request that one of them is false for is not sent. Compiled once for each version of a webhook. */
export function webhookConditions(authorizer: Authorizer): Conditions {
  const compiled = new WeakMap<readonly MatchCondition[], Compiled>();
  return async ({ webhook: { matchConditions = [] } }, request, seen) => {
    const cel = await loadCel();
    let conditions = compiled.get(matchConditions);
    if (!conditions) {
      conditions = compileConditions(cel, matchConditions, { params: false, authorizer: true });
      compiled.set(matchConditions, conditions);
    }
    return conditions.firstFalse(bindingsOf(cel, { seen: { request, ...seen }, authorizer })) === undefined;
  };
}
