import { keyOf } from "../../../kube/index.ts";
import { type Gateway, gatewayResources as kinds } from "../../../routing/index.ts";
import { nearest } from "../../error.ts";
import { faultsOfGateway } from "../../gateway-faults.ts";
import type { Check } from "../check.ts";

/** A Gateway that is not served as it asks: a listener that is wrong, no address, or a class that there is not. */
export const gateway: Check = {
  code: "gateway",
  about: "a Gateway with a listener that cannot be served, without an address, or of a class that does not exist",
  reads: "Gateways, GatewayClasses, Secrets, ConfigMaps, ReferenceGrants",
  *run({ gateways }) {
    if (!gateways) return;
    const { objects, meaning } = gateways;
    const of = (wanted: string) => objects.objects.filter(({ kind }) => kind === wanted);
    const classes = of(kinds.GatewayClass.kind).map(({ metadata }) => metadata.name);
    const reports = new Map(meaning.gateways.map((report) => [keyOf(report.gateway), report]));
    for (const each of of(kinds.Gateway.kind) as Gateway[]) {
      const object = `Gateway ${keyOf(each)}`;
      const report = reports.get(keyOf(each));
      const { gatewayClassName: name } = each.spec;
      if (report)
        for (const fault of faultsOfGateway(each, report)) yield { severity: "error", object, evidence: [], ...fault };
      // Another controller's says what is wrong with its own.
      else if (!classes.includes(name)) {
        const [meant] = nearest(name, classes);
        yield {
          severity: "error",
          object,
          field: "spec.gatewayClassName",
          problem: `there is no GatewayClass ${JSON.stringify(name)}`,
          evidence: classes.map((known) => `there is a GatewayClass ${known}`).slice(0, 5),
          remedy: meant === undefined ? "name a class that there is" : `did you mean ${meant}`,
        };
      }
    }
  },
};
