import { serviceNameLabel } from "../services/index.ts";
import { isStatus, resources, type EndpointSlice, type IpFamily, type Service } from "../kube/index.ts";
import type { Client } from "../client/index.ts";
import type { Clock, Logger } from "../system/index.ts";
import type { Endpoint } from "./upstream.ts";

export interface DnsServiceOptions {
  readonly client: Client;
  /** Cluster addresses of the Service `kube-dns`: at most one of a family, the primary one first. */
  readonly clusterIPs: readonly string[];
  /** Where the servers listen: those of a family on the same port. */
  readonly endpoints: readonly Endpoint[];
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

const namespace = "kube-system";
const name = "kube-dns";

/**
 * Writes the Service `kube-dns`, by which pods and tools find the cluster's DNS, and its EndpointSlices, one a family. Tries again until it
 * is written: the namespace may not be there yet. Settles early when the signal aborts.
 */
export async function writeDnsService(options: DnsServiceOptions): Promise<void> {
  const { client, signal, clock, log } = options;
  for (let wait = 100; !signal.aborted; wait = Math.min(2 * wait, 5000)) {
    try {
      await client.apply(resources.Service, serviceOf(options), { signal });
      for (const family of families)
        if (options.endpoints.some(({ address }) => familyOf(address) === family))
          await client.apply(resources.EndpointSlice, sliceOf(options, family), { signal });
      return;
    } catch (error) {
      if (signal.aborted) return;
      const level = isStatus(error, "NotFound") ? "debug" : "warn";
      log[level]({ error: String(error) }, "the Service kube-dns could not be written; trying again");
      await clock.sleep(wait, signal).catch(() => {});
    }
  }
}

const labels = { "k8s-app": name, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "KubeDNS" };

const families = ["IPv4", "IPv6"] as const;
const familyOf = (address: string): IpFamily => (address.includes(":") ? "IPv6" : "IPv4");

function serviceOf({ clusterIPs, endpoints }: DnsServiceOptions) {
  const targetPort = endpoints[0]?.port ?? 53;
  return {
    metadata: { name, namespace, labels },
    spec: {
      type: "ClusterIP",
      clusterIP: clusterIPs[0] ?? "",
      clusterIPs: [...clusterIPs],
      ipFamilies: clusterIPs.map(familyOf),
      ipFamilyPolicy: clusterIPs.length > 1 ? "RequireDualStack" : "SingleStack",
      ports: [
        { name: "dns", protocol: "UDP", port: 53, targetPort },
        { name: "dns-tcp", protocol: "TCP", port: 53, targetPort },
      ],
    },
  } satisfies Partial<Omit<Service, "metadata">> & { metadata: object };
}

function sliceOf({ endpoints }: DnsServiceOptions, family: IpFamily) {
  const own = endpoints.filter(({ address }) => familyOf(address) === family);
  const port = own[0]?.port ?? 53;
  const suffix = family === "IPv4" ? "" : "-ipv6";
  return {
    metadata: { name: `${name}-fairlead${suffix}`, namespace, labels: { ...labels, [serviceNameLabel]: name } },
    addressType: family,
    endpoints: own.map(({ address }) => ({ addresses: [address], conditions: { ready: true } })),
    ports: [
      { name: "dns", protocol: "UDP", port },
      { name: "dns-tcp", protocol: "TCP", port },
    ],
  } satisfies Partial<Omit<EndpointSlice, "metadata">> & { metadata: object };
}
