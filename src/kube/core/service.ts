import { createStrategy } from "../base-strategy.ts";
import { resources } from "../resource.ts";
import type { ServiceSpec } from "../generated/types.ts";
import { cidrWarnings, ipWarnings } from "../validation/address.ts";
import { isDns1035Label } from "../values/names.ts";
import { defaultService, dropWhatTypeLost, isHeadless, keepAllocated } from "./service-defaults.ts";
import { defaultFamilies, dropSecondFamily } from "./service-families.ts";
import { validateLoadBalancerStatus, validateService } from "./service-validation.ts";

export const serviceStrategy = createStrategy(resources.Service, {
  name: isDns1035Label,
  allowCreateOnUpdate: true,
  defaults: defaultService,
  prepareForCreate(service, { serviceFamilies }) {
    defaultFamilies(service.spec, serviceFamilies);
    service.status = { loadBalancer: {} };
  },
  prepareForUpdate(service, old, { serviceFamilies }) {
    keepAllocated(service.spec, old.spec);
    dropWhatTypeLost(service, old);
    dropSecondFamily(service.spec, old.spec);
    defaultFamilies(service.spec, serviceFamilies, old.spec);
  },
  validate: validateService,
  validateStatus: (service) =>
    validateLoadBalancerStatus(service.status?.loadBalancer, service.spec.type === "LoadBalancer"),
  warnings: ({ spec }) => serviceWarnings(spec),
  selectableFields: ({ spec }) => ({ "spec.clusterIP": spec?.clusterIP ?? "", "spec.type": spec?.type ?? "" }),
});

/** Warnings about what has no effect, and about addresses in an unusual form. */
function serviceWarnings(spec: ServiceSpec): string[] {
  const isExternalName = spec.type === "ExternalName";
  const headless = isHeadless(spec);
  const useless: [boolean, string][] = [
    [isExternalName && has(spec.externalIPs), 'spec.externalIPs is ignored when spec.type is "ExternalName"'],
    [!isExternalName && has(spec.externalName), 'spec.externalName is ignored when spec.type is not "ExternalName"'],
    [headless && has(spec.loadBalancerIP), "spec.loadBalancerIP is ignored for headless services"],
    [headless && has(spec.externalIPs), "spec.externalIPs is ignored for headless services"],
    [headless && spec.sessionAffinity !== "None", "spec.SessionAffinity is ignored for headless services"],
  ];
  return [
    ...(spec.clusterIPs ?? []).flatMap((ip, i) => ipWarnings(ip, `spec.clusterIPs[${i}]`)),
    ...(spec.externalIPs ?? []).flatMap((ip, i) => ipWarnings(ip, `spec.externalIPs[${i}]`)),
    ...(spec.loadBalancerSourceRanges ?? []).flatMap((range, i) =>
      cidrWarnings(range, `spec.loadBalancerSourceRanges[${i}]`),
    ),
    ...useless.flatMap(([applies, text]) => (applies ? [text] : [])),
  ];
}

const has = (value: string | readonly string[] | undefined): boolean => (value?.length ?? 0) > 0;
