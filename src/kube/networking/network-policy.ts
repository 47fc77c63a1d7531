import { createStrategy } from "../base-strategy.ts";
import type { IPBlock, NetworkPolicyPeer, NetworkPolicyPort } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { validateCidr } from "../validation/address.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { validateOneOf } from "../validation/ports.ts";
import { cidrContains, parseCidr } from "../values/ip.ts";
import { isPortName, isPortNumber } from "../values/names.ts";

export const networkPolicyStrategy = createStrategy(resources.NetworkPolicy, {
  generationOf: (policy) => policy.spec,
  defaults({ spec }) {
    if (!spec) return;
    for (const { ports = [] } of [...(spec.ingress ?? []), ...(spec.egress ?? [])])
      for (const port of ports) port.protocol ??= "TCP";
    if (!spec.policyTypes?.length) spec.policyTypes = ["Ingress", ...(spec.egress?.length ? ["Egress"] : [])];
  },
  *validate({ spec }) {
    yield* validateLabelSelector(spec.podSelector, "spec.podSelector");
    for (const [i, { ports = [], from = [] }] of (spec.ingress ?? []).entries())
      yield* validateRule(ports, from, "from", `spec.ingress[${i}]`);
    for (const [i, { ports = [], to = [] }] of (spec.egress ?? []).entries())
      yield* validateRule(ports, to, "to", `spec.egress[${i}]`);
    const types = spec.policyTypes ?? [];
    if (types.length > 2) yield fault.invalid("spec.policyTypes", types, "may not specify more than two policyTypes");
    else
      for (const [i, type] of types.entries())
        yield* validateOneOf(type, ["Ingress", "Egress"], `spec.policyTypes[${i}]`);
  },
});

function* validateRule(
  ports: readonly NetworkPolicyPort[],
  peers: readonly NetworkPolicyPeer[],
  field: string,
  path: string,
): Faults {
  for (const [i, port] of ports.entries()) yield* validatePort(port, `${path}.ports[${i}]`);
  for (const [i, peer] of peers.entries()) yield* validatePeer(peer, `${path}.${field}[${i}]`);
}

function* validatePort({ protocol, port, endPort }: NetworkPolicyPort, path: string): Faults {
  if (protocol !== undefined) yield* validateOneOf(protocol, ["TCP", "UDP", "SCTP"], `${path}.protocol`);
  const at = `${path}.endPort`;
  if (port === undefined) {
    if (endPort !== undefined) yield fault.invalid(at, endPort, "may not be specified when `port` is not specified");
  } else if (typeof port === "number") {
    yield* invalids(`${path}.port`, port, isPortNumber(port));
    if (endPort === undefined) return;
    if (endPort < port) yield fault.invalid(at, port, "must be greater than or equal to `port`");
    yield* invalids(at, endPort, isPortNumber(endPort));
  } else {
    if (endPort !== undefined) yield fault.invalid(at, endPort, "may not be specified when `port` is non-numeric");
    yield* invalids(`${path}.port`, port, isPortName(port));
  }
}

function* validatePeer({ podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer, path: string): Faults {
  if (podSelector) yield* validateLabelSelector(podSelector, `${path}.podSelector`);
  if (namespaceSelector) yield* validateLabelSelector(namespaceSelector, `${path}.namespaceSelector`);
  if (ipBlock) yield* validateBlock(ipBlock, `${path}.ipBlock`);
  if (!podSelector && !namespaceSelector && !ipBlock) yield fault.required(path, "must specify a peer");
  else if (ipBlock && (podSelector ?? namespaceSelector))
    yield fault.forbidden(path, "may not specify both ipBlock and another peer");
}

function* validateBlock({ cidr, except = [] }: IPBlock, path: string): Faults {
  if (cidr === "") {
    yield fault.required(`${path}.cidr`);
    return;
  }
  yield* validateCidr(cidr, `${path}.cidr`);
  const block = parseCidr(cidr);
  if (!block) return;
  for (const [i, text] of except.entries()) {
    const at = `${path}.except[${i}]`;
    yield* validateCidr(text, at);
    const part = parseCidr(text);
    if (part && (!cidrContains(block, { family: part.family, value: part.base }) || block.prefix >= part.prefix))
      yield fault.invalid(at, text, "must be a strict subset of `cidr`");
  }
}
