import { textOf } from "../../../routing/index.ts";
import type { Check } from "../check.ts";

const told = new Set([
  "ServiceNotFound",
  "ServicePortNotFound",
  "SecretNotFound",
  "InvalidCertificate",
  "IngressClassNotFound",
]);

/** Whatever else the routing model found: paths that another object has, hosts and backends that cannot be. */
export const ingressConflict: Check = {
  code: "route-problem",
  about: "a route that another object shadows, or that cannot be realised",
  reads: "Ingresses",
  *run({ routing }) {
    for (const { object, field, reason, message, remedy } of routing.problems) {
      if (told.has(reason)) continue;
      yield {
        severity: "error",
        object: textOf(object),
        field,
        problem: message,
        evidence: [`reason ${reason}`],
        remedy,
      };
    }
  },
};
