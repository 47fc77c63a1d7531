import { formatIp, parseIp } from "../kube/index.ts";

/** Labels of a name in lower case, the last first: `a.b.c` is [c, b, a]. */
export function labelsOf(name: string): string[] {
  return name.toLowerCase().split(".").reverse();
}

/** Labels in front of `domain`, the last first; undefined when the name is not in the domain. */
export function labelsBelow(name: string, domain: string): string[] | undefined {
  const lower = name.toLowerCase();
  if (lower === domain) return [];
  return lower.endsWith(`.${domain}`) ? labelsOf(lower.slice(0, -domain.length - 1)) : undefined;
}

/** The address that a name in in-addr.arpa or ip6.arpa stands for; undefined when it stands for none. RFC 1035 3.5, RFC 3596 2.5. */
export function addressOfReverseName(name: string): string | undefined {
  const v4 = labelsBelow(name, "in-addr.arpa");
  if (v4) return v4.length === 4 ? canonical(v4.join(".")) : undefined;
  const v6 = labelsBelow(name, "ip6.arpa");
  if (v6?.length !== 32 || !v6.every((label) => /^[0-9a-f]$/.test(label))) return undefined;
  return canonical(v6.join("").replace(/(.{4})(?!$)/g, "$1:"));
}

/** `10-42-0-7` for 10.42.0.7: the name of an endpoint that has none of its own, and of a pod. */
export function dashed(ip: string): string {
  return ip.replace(/[.:]/g, "-");
}

/** The addresses that a dashed name may stand for. */
export function addressOfDashed(label: string): string | undefined {
  return canonical(label.replaceAll("-", ".")) ?? canonical(label.replaceAll("-", ":"));
}

function canonical(text: string): string | undefined {
  const ip = parseIp(text);
  return ip && formatIp(ip);
}
