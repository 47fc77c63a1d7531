import type { DnsConfig, SandboxConfig } from "./runtime.ts";

/** /etc/resolv.conf. What could end a line is not written: the API refuses it too. */
export function resolvConf({ servers, searches, options }: DnsConfig): string {
  const words = (list: readonly string[]): string[] => list.filter((word) => /^[!-~]+$/.test(word));
  const lines = words(servers).map((server) => `nameserver ${server}`);
  if (searches.length > 0) lines.push(`search ${words(searches).join(" ")}`);
  if (options.length > 0) lines.push(`options ${words(options).join(" ")}`);
  return `${lines.join("\n")}\n`;
}

/** /etc/hosts with the pod's own name and its hostAliases. */
export function hostsFile(config: SandboxConfig, addresses: readonly string[]): string {
  const own = addresses.map((address) => `${address}\t${config.hostname}`);
  const aliases = config.hostAliases.map(({ ip, hostnames }) => `${ip}\t${hostnames.join("\t")}`);
  const lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback", ...own, ...aliases];
  return `${lines.filter((line) => !line.includes("\n")).join("\n")}\n`;
}
