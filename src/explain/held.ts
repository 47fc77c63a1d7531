import { findCondition, type Service } from "../kube/index.ts";
import { type Announcement, providerCondition, readAnnouncements } from "../loadbalancer/index.ts";
import type { Cluster } from "./cluster.ts";

/** How an address is announced; undefined where it is not to be, or nothing is known of it. */
export type AnnouncementOf = (address: string) => Announcement | undefined;

/** How the addresses of a cluster are announced at a moment, in milliseconds since the epoch. Pure. */
export function announcementsIn(cluster: Cluster, now: number): AnnouncementOf {
  const { announcing, nodes } = cluster.objects;
  if (!announcing) return () => undefined;
  return readAnnouncements({
    objects: announcing,
    nodes,
    now,
    service: (key) => cluster.service(key),
    slices: (key) => cluster.slices(key),
  });
}

/** Who answers for an address of a load balancer now, as they say themselves. */
export interface Holding {
  readonly address: string;
  readonly by: "VRRP" | "BGP" | "provider";
  /** Names of nodes, or of the provider. None: nobody has it. */
  readonly holders: readonly string[];
  /** RFC 3339: since when that is so. */
  readonly since?: string;
  /** They have not been heard of for a while, and were the last that said so. */
  readonly isSilent?: true;
}

/** Who holds the addresses of a Service: nodes that announce them, or a provider outside. Addresses that every node answers for are left out. Pure. */
export function holdingsOf(service: Service, announcementOf: AnnouncementOf): Holding[] {
  const made = findCondition(service.status?.conditions, providerCondition);
  const provider = service.spec.loadBalancerClass?.replace(/^fairlead\.dev\//, "");
  return (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }): Holding[] => {
    const address = ip ?? hostname;
    if (address === undefined) return [];
    if (made && provider !== undefined) {
      const since = made.status === "True" ? made.lastTransitionTime : undefined;
      return [{ address, by: "provider", holders: [provider], ...(since === undefined ? {} : { since }) }];
    }
    const announcement = announcementOf(address);
    return announcement ? [announcedBy(announcement)] : [];
  });
}

function announcedBy({ address, protocol, holders }: Announcement): Holding {
  const first = holders.filter(({ isFallback }) => !isFallback);
  // Who is only a fallback has the packets where nobody is better.
  const used = first.length > 0 ? first : holders;
  const [since] = used.flatMap((one) => one.since ?? []).sort();
  return {
    address,
    by: protocol,
    holders: [...new Set(used.map(({ node }) => node))],
    ...(since === undefined ? {} : { since }),
    ...(used.some(({ isSilent }) => isSilent) ? { isSilent: true } : {}),
  };
}
