import {
  formatCidr,
  formatIp,
  hasLeadingZeros,
  isLinkLocal,
  isLinkLocalMulticast,
  isLoopback,
  isMapped,
  isUnspecified,
  parseCidr,
  parseIp,
} from "../values/ip.ts";
import { fault, type Faults } from "./fault.ts";

const notIp = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

/** An IP address, strictly (KEP-4858): no leading zeros, not IPv4-mapped. */
export function* validateIp(value: string, path: string): Faults {
  const ip = parseIp(value);
  if (!ip) yield fault.invalid(path, value, hasLeadingZeros(value) ? "must not have leading 0s" : notIp);
  else if (isMapped(ip)) yield fault.invalid(path, value, "must not be an IPv4-mapped IPv6 address");
}

/** An IP address in its canonical form, as newer API fields want it. */
export function* validateCanonicalIp(value: string, path: string): Faults {
  const faults = [...validateIp(value, path)];
  yield* faults;
  const ip = parseIp(value);
  if (faults.length > 0 || !ip) return;
  const canonical = formatIp(ip);
  if (canonical !== value) yield fault.invalid(path, value, `must be in canonical form ("${canonical}")`);
}

/** A block of addresses, strictly: no bits beyond the prefix. */
export function* validateCidr(value: string, path: string): Faults {
  const cidr = parseCidr(value);
  if (!cidr) {
    const [address = "", bits = ""] = value.split("/");
    const zeros =
      /^\d+$/.test(bits) && (hasLeadingZeros(address) || parseIp(address) !== undefined) && /^0\d/.test(bits);
    const text =
      zeros || (hasLeadingZeros(address) && /^\d+$/.test(bits))
        ? "must not have leading 0s in IP or prefix length"
        : "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    yield fault.invalid(path, value, text);
  } else if (cidr.hostBits) yield fault.invalid(path, value, "must not have bits set beyond the prefix length");
}

/** An address that traffic may be sent to: not unspecified, loopback or link-local. */
export function* validateNonSpecialIp(value: string, path: string, allowLoopback = false): Faults {
  const ip = parseIp(value);
  if (!ip) {
    yield fault.invalid(path, value, "must be a valid IP address");
    return;
  }
  if (isUnspecified(ip)) yield fault.invalid(path, value, `may not be unspecified (${value})`);
  if (isLoopback(ip) && !allowLoopback) {
    yield fault.invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
  }
  if (isLinkLocal(ip))
    yield fault.invalid(path, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
  if (isLinkLocalMulticast(ip)) {
    yield fault.invalid(path, value, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
  }
}

/** Warnings about an address that is valid and yet not in RFC 5952 form. */
export function ipWarnings(value: string, path: string): string[] {
  const ip = parseIp(value);
  const canonical = ip && formatIp(ip);
  if (ip?.family !== "IPv6" || canonical === value || isMapped(ip)) return [];
  return [`${path}: IPv6 address "${value}" should be in RFC 5952 canonical format ("${canonical}")`];
}

/** Warnings about a block that is valid and yet not in canonical form. */
export function cidrWarnings(value: string, path: string): string[] {
  const cidr = parseCidr(value);
  if (cidr?.family !== "IPv6" || formatCidr(cidr) === value) return [];
  return [`${path}: IPv6 CIDR value "${value}" should be in RFC 5952 canonical format ("${formatCidr(cidr)}")`];
}
