import { keyOf } from "../../../kube/index.ts";
import type { Check } from "../check.ts";

/** The Ingress is ours and without fault, and no data plane has confirmed it. */
export const ingressStatus: Check = {
  code: "ingress-not-confirmed",
  about: "an Ingress that no data plane has confirmed",
  reads: "Ingresses",
  *run({ routing }) {
    for (const ingress of routing.served) {
      if ((ingress.status?.loadBalancer?.ingress ?? []).length > 0) continue;
      yield {
        severity: "warning",
        object: `Ingress ${keyOf(ingress)}`,
        field: "status.loadBalancer",
        problem: "no data plane has confirmed it yet",
        evidence: ["status.loadBalancer.ingress is empty"],
        remedy: "see that the Ingress controller runs: its log says what it could not realise",
      };
    }
  },
};
