import type { Pod } from "../../kube/index.ts";

/** What a pod's containers see as the name of their machine. */
export interface PodHostname {
  /** One label, or with spec.setHostnameAsFQDN all of the name. */
  readonly hostname: string;
  /** The names that lead to the pod itself, for /etc/hosts: the longest first. */
  readonly names: readonly string[];
}

/** The longest label of DNS. */
const longestLabel = 63;
/** The longest name that Linux has for a machine (__NEW_UTS_LEN). */
const longestHostname = 64;

/**
 * From spec.hostname, or the pod's name as far as it fits into a label; with spec.subdomain the name has its full form
 * HOSTNAME.SUBDOMAIN.NAMESPACE.svc.DOMAIN too. Throws Error when that is to be the machine's name and too long for it.
 */
export function podHostname({ metadata, spec }: Pick<Pod, "metadata" | "spec">, clusterDomain: string): PodHostname {
  const label = (spec.hostname || metadata.name).slice(0, longestLabel).replace(/[-.]+$/, "");
  if (!spec.subdomain) return { hostname: label, names: [label] };
  const full = `${label}.${spec.subdomain}.${metadata.namespace}.svc.${clusterDomain}`;
  const names = [full, label];
  if (!spec.setHostnameAsFQDN) return { hostname: label, names };
  if (full.length > longestHostname)
    throw new Error(
      `spec.setHostnameAsFQDN: ${full} has ${full.length} characters, a host name at most ${longestHostname}: shorten hostname or subdomain`,
    );
  return { hostname: full, names };
}
