import { isAboutService, newest } from "../../pods.ts";
import type { Check } from "../check.ts";

const ours = "fairlead.dev/";

/** A load balancer without an address, in the words of whoever should give it one. */
export const loadBalancerPending: Check = {
  code: "load-balancer-pending",
  about: "a Service of type LoadBalancer without an address",
  reads: "Services, Events",
  *run({ services, cluster }) {
    for (const { service, object } of services) {
      if (service.spec.type !== "LoadBalancer") continue;
      const given = service.status?.loadBalancer?.ingress ?? [];
      const condition = service.status?.conditions?.find(({ status, message }) => status === "False" && message);
      const problems = service.status?.conditions?.find(
        ({ reason, type }) => type.startsWith(ours) && reason !== "Assigned",
      );
      if (given.length > 0 && !condition && !problems) continue;
      const about = cluster.objects.events.filter(
        (event) => event.type === "Warning" && isAboutService(event, service),
      );
      const event = newest(about);
      const named = service.spec.loadBalancerClass;
      const foreign = named !== undefined && !named.startsWith(ours);
      const told = condition ?? problems;
      yield {
        severity: given.length > 0 ? "warning" : "error",
        object,
        field: foreign ? "spec.loadBalancerClass" : "status.loadBalancer",
        problem: told
          ? `${given.length > 0 ? "it has not all it asks for" : "no address"}: ${told.message}`
          : foreign
            ? `no address: class ${JSON.stringify(named)} is for another controller, which has not answered`
            : `no address: ${event?.message ?? "nobody has said why"}`,
        evidence: [
          ...(told ? [`condition ${told.type}: ${told.reason ?? ""}`] : []),
          ...(event ? [`event ${event.reason ?? ""}: ${event.message ?? ""}`] : []),
          ...(named ? [`spec.loadBalancerClass is ${JSON.stringify(named)}`] : []),
        ],
        remedy: remedyOf(told?.reason, foreign),
      };
    }
  },
};

function remedyOf(reason: string | undefined, foreign: boolean): string {
  switch (reason) {
    case "PoolExhausted":
      return "add addresses to the pool, or delete Services of type LoadBalancer that are not needed";
    case "AddressTaken":
      return "ask for another address, or free this one";
    case "OutsidePools":
      return "ask for an address of a pool, or add a pool with this one";
    case "NoPool":
      return "create an AddressPool that has such addresses, or name them with --lb-pool (fairlead up) or --pool (fairlead loadbalancer)";
    case "AddressInUse":
      return "take the address off the machine that has it, or take it out of the pool";
    case "PoolNotAllowed":
      return "ask for a pool that serves this Service, or change the selectors of the pool";
    case "Quota":
      return "raise the quota at the provider, or delete load balancers that are not needed";
    case "Credentials":
      return "renew the provider's credentials and their rights";
    case "Throttled":
    case "Unavailable":
      return "nothing: it is tried again by itself; look at the provider when it lasts";
    case "Refused":
      return "correct what the provider refuses: an annotation of the Service, or the provider's configuration";
    case "InvalidRequest":
      return "correct the annotation or spec.loadBalancerIP";
    default:
      return foreign
        ? "run the controller of that class, or create the Service anew without loadBalancerClass"
        : "run a controller that gives addresses";
  }
}
