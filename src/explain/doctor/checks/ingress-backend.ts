import { keyOf } from "../../../kube/index.ts";
import { textOf } from "../../../routing/index.ts";
import { nearest } from "../../error.ts";
import type { Check } from "../check.ts";

/** What an Ingress names as its backend does not exist, or has no such port: its requests get 503. */
export const ingressBackend: Check = {
  code: "ingress-backend",
  about: "an Ingress whose Service, or the Service's port, does not exist",
  reads: "Ingresses, Services",
  *run({ cluster, routing }) {
    const keys = cluster.objects.services.map(keyOf);
    for (const { object, field, reason, message, remedy } of routing.problems) {
      if (reason !== "ServiceNotFound" && reason !== "ServicePortNotFound") continue;
      const key = /Service ([^ ;/]+\/[^ ;]+)/.exec(message)?.[1] ?? "";
      const name = key.split("/")[1] ?? "";
      const elsewhere = keys.filter((other) => other.endsWith(`/${name}`) && other !== key);
      const near = reason === "ServiceNotFound" ? nearest(key, keys) : [];
      yield {
        severity: "error",
        object: textOf(object),
        field,
        problem: message,
        evidence: [
          ...near.map((other) => `there is a Service ${other}`),
          ...(reason === "ServiceNotFound"
            ? elsewhere.map((other) => `Service ${other} is in another namespace, which an Ingress cannot name`)
            : []),
        ],
        remedy: near[0] ? `did you mean ${near[0].split("/")[1] ?? near[0]}` : remedy,
      };
    }
  },
};
