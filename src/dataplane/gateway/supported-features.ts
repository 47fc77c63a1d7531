import type { Feature } from "../dataplane.ts";

/** Features of the Gateway API that need nothing of a data plane. */
const ownFeatures = [
  "GRPCRouteNamedRouteRule",
  "Gateway",
  "GatewayAddressEmpty",
  "GatewayInfrastructurePropagation",
  "GatewayPort8080",
  "GatewayStaticAddresses",
  "HTTPRouteDestinationPortMatching",
  "HTTPRouteNamedRouteRule",
  "HTTPRouteParentRefPort",
  "ListenerSet",
  "ReferenceGrant",
];

/** What the definitions of the experimental channel must be installed for: their fields do not exist otherwise. */
const experimental: ReadonlySet<string> = new Set([
  "HTTPRouteRetry",
  "HTTPRouteRetryBackendTimeout",
  "HTTPRouteRetryConnectionError",
]);

/** What is of use without, but is only said to be supported with: the conformance suite's client speaks cleartext HTTP/2 for it. */
const wanting: ReadonlyMap<string, Feature> = new Map([
  ["HTTPRouteBackendProtocolH2C", "CleartextHTTP2"],
  ["GRPCRouteNamedRouteRule", "GRPCRoute"],
]);

const kinds = /^(?:BackendTLSPolicy|GRPCRoute|Gateway|HTTPRoute|TCPRoute|TLSRoute|UDPRoute)/;

/** `status.supportedFeatures` of a GatewayClass: in alphabetical order (GEP-2162). */
export function supportedFeatures(
  capabilities: ReadonlySet<Feature>,
  channel: "standard" | "experimental",
): { name: string }[] {
  const names = new Set([...ownFeatures, ...[...capabilities].filter((name) => kinds.test(name))]);
  return [...names]
    .filter((name) => {
      const other = wanting.get(name);
      return other === undefined || capabilities.has(other);
    })
    .filter((name) => channel === "experimental" || !experimental.has(name))
    .sort()
    .map((name) => ({ name }));
}
