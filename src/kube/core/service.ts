import { createStrategy } from "../base-strategy.ts";
import { resources } from "../resource.ts";
import { cidrWarnings, ipWarnings } from "../validation/address.ts";
import { isDns1035Label } from "../values/names.ts";
import { defaultFamilies, defaultService, dropWhatTypeLost, isHeadless, keepAllocated } from "./service-defaults.ts";
import { validateLoadBalancerStatus, validateService } from "./service-validation.ts";

export const serviceStrategy = createStrategy(resources.Service, {
  name: isDns1035Label,
  allowCreateOnUpdate: true,
  defaults: defaultService,
  prepareForCreate(service) {
    defaultFamilies(service.spec);
    service.status = { loadBalancer: {} };
  },
  prepareForUpdate(service, old) {
    keepAllocated(service.spec, old.spec);
    dropWhatTypeLost(service, old);
    defaultFamilies(service.spec);
  },
  validate: validateService,
  validateStatus: (service) =>
    validateLoadBalancerStatus(service.status?.loadBalancer, service.spec.type === "LoadBalancer"),
  warnings({ spec }) {
    const list = (field: "externalIPs" | "clusterIPs") =>
      (spec[field] ?? []).flatMap((ip, i) => ipWarnings(ip, `spec.${field}[${i}]`));
    const ranges = (spec.loadBalancerSourceRanges ?? []).flatMap((range, i) =>
      cidrWarnings(range, `spec.loadBalancerSourceRanges[${i}]`),
    );
    const external = spec.type === "ExternalName" && spec.externalIPs?.length;
    return [
      ...list("clusterIPs"),
      ...list("externalIPs"),
      ...ranges,
      ...(external ? ['spec.externalIPs is ignored when spec.type is "ExternalName"'] : []),
      ...(spec.type !== "ExternalName" && spec.externalName
        ? ['spec.externalName is ignored when spec.type is not "ExternalName"']
        : []),
      ...(isHeadless(spec) && spec.loadBalancerIP ? ["spec.loadBalancerIP is ignored for headless services"] : []),
      ...(isHeadless(spec) && spec.externalIPs?.length ? ["spec.externalIPs is ignored for headless services"] : []),
      ...(isHeadless(spec) && spec.sessionAffinity !== "None"
        ? ["spec.SessionAffinity is ignored for headless services"]
        : []),
    ];
  },
  selectableFields: ({ spec }) => ({ "spec.clusterIP": spec?.clusterIP ?? "", "spec.type": spec?.type ?? "" }),
});
