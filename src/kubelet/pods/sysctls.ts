import type { Pod } from "../../kube/index.ts";

/**
 * What a pod may set that has a network of its own: of those that Kubernetes takes to be safe the ones of the network. Pods share the node's
 * other namespaces, so the others would be the node's.
 */
const safe = new Set([
  "net.ipv4.ip_local_port_range",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.ping_group_range",
  "net.ipv4.ip_unprivileged_port_start",
  "net.ipv4.ip_local_reserved_ports",
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_fin_timeout",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
  "net.ipv4.tcp_rmem",
  "net.ipv4.tcp_wmem",
]);

/** Why the pod's sysctls are not set, in upstream's words; undefined when they are. */
export function sysctlFault({ spec }: Pod): string | undefined {
  for (const { name } of spec.securityContext?.sysctls ?? []) {
    const dotted = name.replaceAll("/", ".");
    if (!safe.has(dotted)) return `forbidden sysctl: ${JSON.stringify(name)} not allowlisted`;
    if (spec.hostNetwork) return `forbidden sysctl: ${JSON.stringify(name)} not allowed with host net enabled`;
  }
  return undefined;
}

/** The files under /proc/sys with what is written to them. None but those that `sysctlFault` lets pass. */
export function sysctlsOf({ spec }: Pod): { readonly path: string; readonly value: string }[] {
  return (spec.securityContext?.sysctls ?? [])
    .map(({ name, value }) => ({ name: name.replaceAll("/", "."), value }))
    .filter(({ name }) => safe.has(name))
    .map(({ name, value }) => ({ path: `/proc/sys/${name.replaceAll(".", "/")}`, value }));
}
