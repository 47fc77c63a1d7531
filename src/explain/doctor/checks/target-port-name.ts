import { keyOf } from "../../../kube/index.ts";
import { nearest } from "../../error.ts";
import { type Check, some } from "../check.ts";

/** A targetPort by a name that no container of the pods gives to a port of that protocol. */
export const targetPortName: Check = {
  code: "target-port-name-missing",
  about: "a targetPort whose name no container declares",
  reads: "Services, Pods",
  *run({ services }) {
    for (const { service, object, pods } of services) {
      for (const [i, port] of (service.spec.ports ?? []).entries()) {
        const { targetPort, protocol = "TCP" } = port;
        if (typeof targetPort !== "string" || pods.length === 0) continue;
        const declared = (of: (typeof pods)[number]) =>
          of.spec.containers.flatMap(({ ports }) => ports ?? []).filter((one) => one.name !== undefined);
        const lacking = pods.filter(
          (pod) => !declared(pod).some((one) => one.name === targetPort && (one.protocol ?? "TCP") === protocol),
        );
        if (lacking.length === 0) continue;
        const names = [
          ...new Set(
            pods.flatMap(declared).map((one) => `${one.name} (${one.containerPort}/${one.protocol ?? "TCP"})`),
          ),
        ];
        const meant = nearest(
          targetPort,
          pods.flatMap(declared).map((one) => one.name ?? ""),
        );
        const [other] = pods.flatMap(declared).filter((one) => one.name === targetPort);
        yield {
          severity: lacking.length === pods.length ? "error" : "warning",
          object,
          field: `spec.ports[${i}].targetPort`,
          problem: `${lacking.length} of ${pods.length} pods have no ${protocol} port named ${JSON.stringify(targetPort)}`,
          evidence: [
            `without it: ${some(lacking.map(keyOf))}`,
            names.length > 0 ? `ports with a name: ${some(names, 6)}` : "no container gives a port a name",
          ],
          remedy: other
            ? `port ${targetPort} is ${other.protocol ?? "TCP"}: make the Service's port that protocol too`
            : meant[0]
              ? `did you mean ${meant[0]}`
              : "name a port that the containers declare, or give its number",
        };
      }
    }
  },
};
