import type { Authorizer } from "../../auth/index.ts";
import type { Conditions } from "./dispatch.ts";

/** Match conditions of webhooks: a request that one of them is false for is not sent. */
export function webhookConditions(_authorizer: Authorizer): Conditions {
  return ({ webhook }) => {
    throw new Error(`match conditions of webhook ${JSON.stringify(webhook.name)} can not be evaluated by this server`);
  };
}
