import { isIP } from "node:net";
import type { Check } from "../check.ts";

/** An ExternalName is a name for DNS: an address there is looked up as a name, and never found. */
export const externalName: Check = {
  code: "external-name-is-address",
  about: "a Service of type ExternalName whose name is an address",
  reads: "Services",
  *run({ services }) {
    for (const { service, object } of services) {
      const { type, externalName: name = "" } = service.spec;
      if (type !== "ExternalName" || isIP(name) === 0) continue;
      yield {
        severity: "error",
        object,
        field: "spec.externalName",
        problem: `${name} is an address, and DNS answers with it as if it were a name`,
        evidence: [`spec.externalName is ${JSON.stringify(name)}`],
        remedy: "use a Service without selector and an EndpointSlice with that address",
      };
    }
  },
};
