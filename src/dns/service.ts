import { serviceNameLabel } from "../services/index.ts";
import { isStatus, resources, type EndpointSlice, type Service } from "../kube/index.ts";
import type { Client } from "../client/index.ts";
import type { Clock, Logger } from "../system/index.ts";
import type { Endpoint } from "./upstream.ts";

export interface DnsServiceOptions {
  readonly client: Client;
  /** Cluster address of the Service `kube-dns`. */
  readonly clusterIP: string;
  /** Where the servers listen: all on the same port. */
  readonly endpoints: readonly Endpoint[];
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

const namespace = "kube-system";
const name = "kube-dns";

/**
 * Writes the Service `kube-dns`, by which pods and tools find the cluster's DNS, and its EndpointSlice. Tries again until it
 * is written: the namespace may not be there yet. Settles early when the signal aborts.
 */
export async function writeDnsService(options: DnsServiceOptions): Promise<void> {
  const { client, signal, clock, log } = options;
  for (let wait = 100; !signal.aborted; wait = Math.min(2 * wait, 5000)) {
    try {
      await client.apply(resources.Service, serviceOf(options), { signal });
      await client.apply(resources.EndpointSlice, sliceOf(options), { signal });
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

function serviceOf({ clusterIP, endpoints }: DnsServiceOptions) {
  const targetPort = endpoints[0]?.port ?? 53;
  return {
    metadata: { name, namespace, labels },
    spec: {
      type: "ClusterIP",
      clusterIP,
      ports: [
        { name: "dns", protocol: "UDP", port: 53, targetPort },
        { name: "dns-tcp", protocol: "TCP", port: 53, targetPort },
      ],
    },
  } satisfies Partial<Omit<Service, "metadata">> & { metadata: object };
}

function sliceOf({ endpoints }: DnsServiceOptions) {
  const port = endpoints[0]?.port ?? 53;
  return {
    metadata: { name: `${name}-fairlead`, namespace, labels: { ...labels, [serviceNameLabel]: name } },
    addressType: "IPv4",
    endpoints: endpoints.map(({ address }) => ({ addresses: [address], conditions: { ready: true } })),
    ports: [
      { name: "dns", protocol: "UDP", port },
      { name: "dns-tcp", protocol: "TCP", port },
    ],
  } satisfies Partial<Omit<EndpointSlice, "metadata">> & { metadata: object };
}
