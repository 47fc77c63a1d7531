import { isHeadless } from "../../../kube/index.ts";
import type { Check } from "../check.ts";

/** A headless Service translates nothing: clients have to ask for the pods' own port. */
export const headlessPorts: Check = {
  code: "headless-port-not-translated",
  about: "a headless Service whose port is another than its pods'",
  reads: "Services, EndpointSlices",
  *run({ services }) {
    for (const { service, object, ports } of services) {
      if (!isHeadless(service.spec)) continue;
      if (service.spec.type === "NodePort" || service.spec.type === "LoadBalancer") continue;
      for (const [i, { port, endpoints }] of ports.entries()) {
        const listens = [...new Set(endpoints.map((endpoint) => endpoint.port))];
        if (listens.length === 0 || listens.includes(port.port)) continue;
        yield {
          severity: "warning",
          object,
          field: `spec.ports[${i}].port`,
          problem: `it is headless: port ${port.port} is not translated, and its pods listen on ${listens.join(", ")}`,
          evidence: ["spec.clusterIP is None: DNS gives the pods' addresses, and clients go there themselves"],
          remedy: `make port ${listens[0] ?? ""}, or leave out clusterIP: None`,
        };
      }
    }
  },
};
