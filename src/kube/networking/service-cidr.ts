import { createStrategy } from "../base-strategy.ts";
import { resources } from "../resource.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { formatCidr, parseCidr, parseIp } from "../values/ip.ts";

/** Blocks that addresses of Services come from. */
export const serviceCidrStrategy = createStrategy(resources.ServiceCIDR, {
  statusKeeps: "metadata",
  *validate({ spec }, _context, old) {
    const { cidrs = [] } = spec;
    if (!old) {
      yield* validateCidrs(cidrs, spec);
      return;
    }
    const before = old.spec.cidrs ?? [];
    // A second family may be added; nothing else changes.
    const isExtended = before.length === 1 && cidrs.length === 2;
    if (before.length !== cidrs.length && !isExtended) yield fault.invalid("spec.cidrs", cidrs, "field is immutable");
    else {
      for (const [i, cidr] of before.entries())
        if (cidr !== cidrs[i]) yield fault.invalid(`spec.cidrs[${i}]`, cidrs[i], "field is immutable");
      if (isExtended) yield* validateCidrs(cidrs, spec);
    }
  },
});

function* validateCidrs(cidrs: readonly string[], spec: object): Faults {
  const path = "spec.cidrs";
  if (cidrs.length === 0) yield fault.required(path, "at least one CIDR required");
  else if (cidrs.length > 2)
    yield fault.invalid(path, { CIDRs: cidrs, ...withoutCidrs(spec) }, "may only hold up to 2 values");
  else {
    for (const [i, cidr] of cidrs.entries()) {
      const parsed = parseCidr(cidr);
      const text = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
      if (!parsed) yield fault.invalid(`${path}[${i}]`, cidr, text);
      else if (!isAtBase(cidr))
        yield fault.invalid(`${path}[${i}]`, cidr, "must not have bits set beyond the prefix length");
      else if (formatCidr(parsed) !== cidr)
        yield fault.invalid(`${path}[${i}]`, cidr, `must be in canonical form (${JSON.stringify(formatCidr(parsed))})`);
    }
    const [first, second] = cidrs.map(parseCidr);
    if (first && second && first.family === second.family) {
      const text = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
      yield fault.invalid(path, cidrs, text);
    }
  }
}

/** No bits are set behind the prefix. */
function isAtBase(cidr: string): boolean {
  const block = parseCidr(cidr);
  const ip = parseIp(cidr.split("/")[0] ?? "");
  return block !== undefined && ip !== undefined && block.base === ip.value;
}

const withoutCidrs = (spec: object): object =>
  Object.fromEntries(Object.entries(spec).filter(([key]) => key !== "cidrs"));
