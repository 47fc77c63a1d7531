import type { Pod } from "../../kube/index.ts";
import type { DnsConfig } from "../runtime/runtime.ts";

/** What the cluster offers and what the node itself uses. */
export interface DnsSettings {
  readonly clusterServers: readonly string[];
  readonly clusterDomain: string;
  readonly node: DnsConfig;
}

/** A pod's /etc/resolv.conf, from dnsPolicy and dnsConfig. At most 3 servers and 32 search domains, as resolvers read. */
export function podDns(pod: Pod, { clusterServers, clusterDomain, node }: DnsSettings): DnsConfig {
  const { dnsPolicy = "ClusterFirst", dnsConfig = {}, hostNetwork } = pod.spec;
  const policy = dnsPolicy === "ClusterFirst" && hostNetwork ? "Default" : dnsPolicy;
  const cluster = policy === "ClusterFirst" || policy === "ClusterFirstWithHostNet";
  const domains = [`${pod.metadata.namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain];
  const base: DnsConfig =
    policy === "None"
      ? { servers: [], searches: [], options: [] }
      : cluster
        ? { servers: clusterServers, searches: [...domains, ...node.searches], options: ["ndots:5"] }
        : node;
  const options = new Map(base.options.map((option) => [option.split(":")[0], option]));
  for (const { name = "", value } of dnsConfig.options ?? []) options.set(name, value ? `${name}:${value}` : name);
  return {
    servers: [...new Set([...base.servers, ...(dnsConfig.nameservers ?? [])])].slice(0, 3),
    searches: [...new Set([...base.searches, ...(dnsConfig.searches ?? [])])].slice(0, 32),
    options: [...options.values()],
  };
}

/** Reads a resolv.conf; lines that mean nothing here are left out. */
export function parseResolvConf(text: string): DnsConfig {
  const words = text.split("\n").map((line) => line.trim().split(/\s+/));
  const of = (keyword: string): string[][] => words.filter(([first]) => first === keyword).map((line) => line.slice(1));
  return {
    servers: of("nameserver").flatMap(([server]) => (server ? [server] : [])),
    searches: of("search").at(-1) ?? [],
    options: of("options").flat(),
  };
}
