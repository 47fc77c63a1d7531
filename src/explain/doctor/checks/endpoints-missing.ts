import { keyOf } from "../../../kube/index.ts";
import { podAddresses } from "../../cluster.ts";
import { whyNotReady } from "../../pods.ts";
import { type Check, some } from "../check.ts";

/** Pods are ready and selected, and no EndpointSlice names them: the controller does not do its work. */
export const endpointsMissing: Check = {
  code: "endpoints-missing",
  about: "ready pods that no EndpointSlice names",
  reads: "Services, Pods, EndpointSlices, Events",
  *run({ services, cluster }) {
    for (const { service, object, pods, slices } of services) {
      if (service.spec.type === "ExternalName") continue;
      const named = new Set(slices.flatMap(({ endpoints }) => (endpoints ?? []).flatMap(({ addresses }) => addresses)));
      const ready = pods.filter((pod) => whyNotReady(pod, cluster.objects.events) === undefined);
      const lacking = ready.filter((pod) => !podAddresses(pod).some((address) => named.has(address)));
      // Named ports that pods lack keep them out, and have a check of their own.
      const byName = service.spec.ports?.some(({ targetPort }) => typeof targetPort === "string") ?? false;
      if (lacking.length === 0 || byName) continue;
      yield {
        severity: "error",
        object,
        field: "spec.selector",
        problem: `${lacking.length} ready pods are in no EndpointSlice`,
        evidence: [`pods: ${some(lacking.map(keyOf))}`, `EndpointSlices: ${slices.length}`],
        remedy: "look at the endpoint-slice controller: it writes them within a second where it runs",
      };
    }
  },
};
