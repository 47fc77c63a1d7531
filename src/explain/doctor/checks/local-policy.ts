import { type Check, some } from "../check.ts";

/** Policy Local drops on every node without an endpoint of its own. */
export const localPolicy: Check = {
  code: "local-policy-without-endpoints",
  about: "traffic policy Local on nodes that have no endpoint",
  reads: "Services, EndpointSlices, Nodes",
  *run({ services, cluster }) {
    const nodes = cluster.objects.nodes.map(({ metadata }) => metadata.name);
    for (const { service, object, ready } of services) {
      const { type, internalTrafficPolicy, externalTrafficPolicy } = service.spec;
      const outside = type === "NodePort" || type === "LoadBalancer";
      const field =
        internalTrafficPolicy === "Local"
          ? "spec.internalTrafficPolicy"
          : outside && externalTrafficPolicy === "Local"
            ? "spec.externalTrafficPolicy"
            : undefined;
      if (field === undefined || ready.length === 0) continue;
      const has = new Set(ready.map(({ nodeName }) => nodeName));
      const without = nodes.filter((name) => !has.has(name));
      if (without.length === 0) continue;
      const internal = field === "spec.internalTrafficPolicy";
      yield {
        severity: without.length === nodes.length || internal ? "error" : "warning",
        object,
        field,
        problem: `Local: ${internal ? "clients" : "connections from outside that come"} on ${some(without)} are dropped, as no endpoint is there`,
        evidence: [`endpoints are on ${some([...has].map((name) => name ?? "no node"))}`],
        remedy: internal
          ? "run a pod on each node (DaemonSet), or use policy Cluster"
          : "run a pod on each node that traffic comes to, lead traffic only to nodes whose healthCheckNodePort answers 200, or use Cluster",
      };
    }
  },
};
