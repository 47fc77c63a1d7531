import type { Draft } from "../../src/kube/index.ts";
import type { EndpointSlice, Service } from "../../src/kube/index.ts";

/** A Service with one TCP port 80 unless `spec` says otherwise. */
export function service(
  name: string,
  spec: Partial<Service["spec"]>,
  rest: { labels?: Record<string, string>; lb?: string[] } = {},
): Draft<Service> {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: "default", name, ...(rest.labels ? { labels: rest.labels } : {}) },
    spec: { type: "ClusterIP", ports: [{ port: 80, protocol: "TCP" }], ...spec },
    ...(rest.lb ? { status: { loadBalancer: { ingress: rest.lb.map((ip) => ({ ip })) } } } : {}),
  };
}

export interface SliceOptions {
  readonly port?: number;
  readonly protocol?: string;
  readonly portName?: string;
  readonly nodeName?: string;
  readonly suffix?: string;
}

/** A slice of ready endpoints on the node `node1` unless told otherwise. */
export function slice(of: string, addresses: readonly string[], options: SliceOptions = {}): Draft<EndpointSlice> {
  const { port = 8080, protocol = "TCP", portName = "", nodeName = "node1", suffix = "a" } = options;
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { namespace: "default", name: `${of}-${suffix}`, labels: { "kubernetes.io/service-name": of } },
    addressType: "IPv4",
    endpoints: addresses.map((address) => ({ addresses: [address], nodeName, conditions: { ready: true } })),
    ports: [{ name: portName, port, protocol }],
  };
}
