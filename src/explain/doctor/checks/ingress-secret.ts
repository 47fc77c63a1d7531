import { textOf } from "../../../routing/index.ts";
import type { Check } from "../check.ts";

/** A certificate that is not there or cannot be used: clients get the default certificate, which they do not trust. */
export const ingressSecret: Check = {
  code: "ingress-secret",
  about: "an Ingress whose Secret is missing or holds no usable key pair",
  reads: "Ingresses, Secrets",
  *run({ routing }) {
    for (const { object, field, reason, message, remedy } of routing.problems) {
      if (reason !== "SecretNotFound" && reason !== "InvalidCertificate") continue;
      yield { severity: "error", object: textOf(object), field, problem: message, evidence: [], remedy };
    }
  },
};
