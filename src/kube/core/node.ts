import { createStrategy } from "../base-strategy.ts";
import type { Node, NodeStatus, Taint } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { validateCidr } from "../validation/address.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateOneOf } from "../validation/ports.ts";
import { semanticEqual } from "../values/equal.ts";
import { parseCidr } from "../values/ip.ts";
import { isLabelValue, isQualifiedName } from "../values/names.ts";
import { compareQuantities } from "../values/quantity.ts";

const effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

export const nodeStrategy = createStrategy(resources.Node, {
  statusOnCreate: true,
  defaults(node) {
    node.spec ??= {};
    const { spec, status } = node;
    if (spec.podCIDR && !spec.podCIDRs?.length) spec.podCIDRs = [spec.podCIDR];
    else if (!spec.podCIDR && spec.podCIDRs?.[0]) spec.podCIDR = spec.podCIDRs[0];
    // What a node has and nobody reserved is there for pods.
    if (status?.capacity) status.allocatable ??= { ...status.capacity };
  },
  validate: (node, _context, old) => validateNode(node, old),
  validateStatus: ({ status = {} }) => validateStatus(status),
  selectableFields: ({ spec }) => ({ "spec.unschedulable": String(spec?.unschedulable ?? false) }),
});

function* validateNode({ spec, status }: Node, old?: Node): Faults {
  yield* validateTaints(spec.taints ?? []);
  // Upstream looks at them twice.
  if (old) yield* validateTaints(spec.taints ?? []);
  yield* validateStatus(status ?? {});
  const cidrs = spec.podCIDRs ?? [];
  for (const [i, cidr] of cidrs.entries()) yield* validateCidr(cidr, `spec.podCIDRs[${i}]`);
  const families = cidrs.map((cidr) => parseCidr(cidr)?.family);
  if (cidrs.length > 2 || (cidrs.length === 2 && families[0] === families[1])) {
    yield fault.invalid("spec.podCIDRs", cidrs, "may specify no more than one CIDR for each IP family");
  }
  if (!old) return;
  if (old.spec.podCIDRs?.length && !semanticEqual(old.spec.podCIDRs, cidrs)) {
    yield fault.forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid');
  }
  if (old.spec.providerID && old.spec.providerID !== spec.providerID) {
    yield fault.forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid');
  }
}

function* validateStatus({ capacity = {}, allocatable = {}, addresses = [] }: NodeStatus): Faults {
  for (const [field, amounts] of Object.entries({ capacity, allocatable })) {
    for (const [name, amount] of Object.entries(amounts)) {
      if (compareQuantities(amount, "0") >= 0) continue;
      yield fault.invalid(`status.${field}.${name}`, amount, "must be greater than or equal to 0");
    }
  }
  for (const [i, address] of addresses.entries()) {
    const first = addresses.findIndex((other) => semanticEqual(other, address));
    if (first < i) yield fault.duplicate(`status.addresses[${i}]`, address);
  }
}

function* validateTaints(taints: readonly Taint[]): Faults {
  const seen = new Set<string>();
  for (const [i, { key, value = "", effect }] of taints.entries()) {
    // Upstream reports taints under metadata.
    const path = `metadata.taints[${i}]`;
    yield* invalids(`${path}.key`, key, isQualifiedName(key));
    const messages = isLabelValue(value);
    if (messages.length > 0) yield fault.invalid(`${path}.value`, value, messages.join(";"));
    if (!effect) yield fault.required(`${path}.effect`);
    else yield* validateOneOf(effect, effects, `${path}.effect`);
    const identity = `${key}:${effect}`;
    if (seen.has(identity)) {
      yield { ...fault.duplicate(path, taints[i]), detail: "taints must be unique by key and effect pair" };
    }
    seen.add(identity);
  }
}
