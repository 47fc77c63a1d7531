import type { Check } from "../check.ts";

/** Without a selector somebody has to write the endpoints. */
export const noSelector: Check = {
  code: "no-selector-no-endpoints",
  about: "a Service without selector for which nobody has written an EndpointSlice",
  reads: "Services, EndpointSlices",
  *run({ services }) {
    for (const { service, object, slices } of services) {
      const { type, selector } = service.spec;
      if (type === "ExternalName" || Object.keys(selector ?? {}).length > 0) continue;
      if (slices.some(({ endpoints }) => (endpoints ?? []).length > 0)) continue;
      yield {
        severity: "error",
        object,
        field: "spec.selector",
        problem: "it has no selector, and no EndpointSlice gives it endpoints",
        evidence: [`EndpointSlices with label kubernetes.io/service-name=${service.metadata.name}: ${slices.length}`],
        remedy: "give it a selector, or write an EndpointSlice with that label",
      };
    }
  },
};
