import type { Draft, EndpointSlice, Service } from "../../../src/kube/index.ts";
import type { ProxyContext } from "../../../src/services/index.ts";

export const clusterIp = (i: number): string => `10.96.${(i >> 8) + 1}.${i & 255}`;
export const podIp = (i: number): string => `10.42.${(i >> 8) & 255}.${i & 255}`;
export const podPort = 8080;

/** Pods live on ten nodes, one of them this one. */
export const context: ProxyContext = {
  families: ["IPv4"],
  node: { name: "node1", addresses: ["127.0.0.1"] },
  podCidrs: ["10.42.0.0/16"],
  serviceCidrs: ["10.96.0.0/16"],
};

export const serviceOf = (i: number): Draft<Service> => ({
  metadata: { namespace: "default", name: `svc-${i}` },
  spec: { type: "ClusterIP", clusterIP: clusterIp(i), ports: [{ port: 80, protocol: "TCP", targetPort: podPort }] },
});

export const sliceOf = (i: number, endpoints: number): Draft<EndpointSlice> => ({
  metadata: { namespace: "default", name: `svc-${i}-a`, labels: { "kubernetes.io/service-name": `svc-${i}` } },
  addressType: "IPv4",
  ports: [{ name: "", port: podPort, protocol: "TCP" }],
  endpoints: Array.from({ length: endpoints }, (_, k) => ({
    addresses: [podIp(i * endpoints + k)],
    nodeName: `node${((i + k) % 10) + 1}`,
    conditions: { ready: true, serving: true, terminating: false },
  })),
});
