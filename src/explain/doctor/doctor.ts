import type { Check, Facts, Finding } from "./check.ts";
import { addressNotAnnounced } from "./checks/address-not-announced.ts";
import { endpointsMissing } from "./checks/endpoints-missing.ts";
import { endpointsStale } from "./checks/endpoints-stale.ts";
import { externalName } from "./checks/external-name.ts";
import { foreignRules } from "./checks/foreign-rules.ts";
import { frontendConflict } from "./checks/frontend-conflict.ts";
import { gateway } from "./checks/gateway.ts";
import { gatewayRoute } from "./checks/gateway-route.ts";
import { headlessPorts } from "./checks/headless-ports.ts";
import { ingressBackend } from "./checks/ingress-backend.ts";
import { ingressCertificate } from "./checks/ingress-certificate.ts";
import { ingressClass } from "./checks/ingress-class.ts";
import { ingressConflict } from "./checks/ingress-conflict.ts";
import { ingressSecret } from "./checks/ingress-secret.ts";
import { ingressStatus } from "./checks/ingress-status.ts";
import { loadBalancerPending } from "./checks/load-balancer-pending.ts";
import { localPolicy } from "./checks/local-policy.ts";
import { noAddress } from "./checks/no-address.ts";
import { nodeLimits } from "./checks/node-limits.ts";
import { noSelector } from "./checks/no-selector.ts";
import { otherProxy } from "./checks/other-proxy.ts";
import { podsNotReady } from "./checks/pods-not-ready.ts";
import { proxyStale } from "./checks/proxy-stale.ts";
import { selectorMatchesNothing } from "./checks/selector-matches-nothing.ts";
import { selectorTooWide } from "./checks/selector-too-wide.ts";
import { sourceRanges } from "./checks/source-ranges.ts";
import { targetPortName } from "./checks/target-port-name.ts";
import { targetPortNumber } from "./checks/target-port-number.ts";
import { twoProxies } from "./checks/two-proxies.ts";

/** All checks, causes before what follows from them: the first finding about an object is the one to put right first. */
export const checks: readonly Check[] = [
  proxyStale,
  twoProxies,
  nodeLimits,
  externalName,
  noAddress,
  otherProxy,
  noSelector,
  selectorMatchesNothing,
  targetPortName,
  podsNotReady,
  endpointsMissing,
  endpointsStale,
  targetPortNumber,
  localPolicy,
  headlessPorts,
  loadBalancerPending,
  addressNotAnnounced,
  frontendConflict,
  sourceRanges,
  selectorTooWide,
  ingressClass,
  ingressBackend,
  ingressSecret,
  ingressCertificate,
  ingressConflict,
  ingressStatus,
  gateway,
  gatewayRoute,
  foreignRules,
];

/** Runs all checks. Errors come before warnings, else in the order of the checks. Pure. */
export function examine(facts: Facts): Finding[] {
  const findings = checks.flatMap((check) => [...check.run(facts)].map((found) => ({ check: check.code, ...found })));
  return [...findings.filter(isError), ...findings.filter((finding) => !isError(finding))];
}

const isError = ({ severity }: Finding): boolean => severity === "error";
