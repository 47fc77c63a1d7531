import { type Check, some } from "../check.ts";

/** A targetPort by number that no container declares. Declaring is not needed, so this is only likely to be wrong. */
export const targetPortNumber: Check = {
  code: "target-port-not-declared",
  about: "a targetPort by number that no container of the pods declares",
  reads: "Services, Pods",
  *run({ services }) {
    for (const { service, object, pods } of services) {
      for (const [i, port] of (service.spec.ports ?? []).entries()) {
        const { protocol = "TCP" } = port;
        const number = port.targetPort === undefined || port.targetPort === 0 ? port.port : port.targetPort;
        if (typeof number !== "number" || pods.length === 0) continue;
        const declared = pods.flatMap(({ spec }) => spec.containers.flatMap(({ ports }) => ports ?? []));
        if (declared.length === 0) continue;
        if (declared.some((one) => one.containerPort === number && (one.protocol ?? "TCP") === protocol)) continue;
        const there = [...new Set(declared.map((one) => `${one.containerPort}/${one.protocol ?? "TCP"}`))];
        yield {
          severity: "warning",
          object,
          field: `spec.ports[${i}].targetPort`,
          problem: `port ${port.port} leads to ${number}/${protocol}, which no container declares: connections may be refused`,
          evidence: [`declared ports: ${some(there, 6)}`],
          remedy:
            there.length === 1 ? `set targetPort to ${there[0]?.split("/")[0] ?? ""}` : "set targetPort to one of them",
        };
      }
    }
  },
};
