import { keyOf } from "../../../kube/index.ts";
import { faultsOfRoute } from "../../gateway-faults.ts";
import type { Check } from "../check.ts";

/** A route that its Gateway does not take, or takes without what it leads to, or never asks. */
export const gatewayRoute: Check = {
  code: "gateway-route",
  about: "a route that a Gateway does not take, that leads to what does not exist, or that an older one shadows",
  reads: "routes of the Gateway API, Gateways, Services, ReferenceGrants",
  *run({ gateways }) {
    for (const report of gateways?.meaning.routes.values() ?? []) {
      const object = `${report.kind} ${keyOf(report.route)}`;
      for (const fault of faultsOfRoute(report)) yield { severity: "error", object, evidence: [], ...fault };
      for (const { parentRef, conditions } of report.parents)
        for (const { type, message } of conditions)
          if (type.endsWith("/Shadowed"))
            yield {
              severity: "warning",
              object,
              field: "spec.rules",
              problem: `at ${parentRef.name}: ${message}`,
              evidence: [],
              remedy: "take one of the two away, or tell them apart",
            };
    }
  },
};
