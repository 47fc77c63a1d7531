import type { DnsConfig, SandboxConfig } from "./runtime.ts";

/** /etc/resolv.conf. What could end a line is not written: the API refuses it too. */
export function resolvConf({ servers, searches, options }: DnsConfig): string {
  const words = (list: readonly string[]): string[] => list.filter((word) => /^[!-~]+$/.test(word));
  const lines = words(servers).map((server) => `nameserver ${server}`);
  if (searches.length > 0) lines.push(`search ${words(searches).join(" ")}`);
  if (options.length > 0) lines.push(`options ${words(options).join(" ")}`);
  return `${lines.join("\n")}\n`;
}

/**
 * /etc/hosts: localhost and the pod by its names; with hostNetwork what the node has in its own, `ofNode`. Then the pod's hostAliases. The
 * first line is the one by which files of a kubelet are known.
 */
export function hostsFile(config: SandboxConfig, addresses: readonly string[], ofNode: string): string {
  const own = addresses.map((address) => `${address}\t${config.names.join("\t")}`);
  const aliases = config.hostAliases
    .map(({ ip, hostnames }) => `${ip}\t${hostnames.join("\t")}`)
    .filter((line) => !line.includes("\n"));
  const lines = config.hostNetwork
    ? ["# Kubernetes-managed hosts file (host network).", ...ofNode.trimEnd().split("\n")]
    : ["# Kubernetes-managed hosts file.", "127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback", ...own];
  const added = aliases.length > 0 ? ["", "# Entries added by HostAliases.", ...aliases] : [];
  return `${[...lines, ...added].join("\n")}\n`;
}
