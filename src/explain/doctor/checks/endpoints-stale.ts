import { type Check, some } from "../check.ts";

/** Endpoints that lead to pods which do not exist: connections to them go nowhere. */
export const endpointsStale: Check = {
  code: "endpoints-stale",
  about: "endpoints whose pod does not exist, or whose node is not ready",
  reads: "EndpointSlices, Pods, Nodes",
  *run({ services, cluster }) {
    if (cluster.objects.pods.length === 0) return;
    const down = new Map(
      cluster.objects.nodes.flatMap(({ metadata, status }) => {
        const ready = status?.conditions?.find(({ type }) => type === "Ready");
        return ready && ready.status !== "True" ? [[metadata.name, ready.message ?? ready.reason ?? ""] as const] : [];
      }),
    );
    for (const { object, ready } of services) {
      const gone = ready.filter(({ pod }) => pod !== undefined && !cluster.pod(pod));
      if (gone.length > 0)
        yield {
          severity: "error",
          object,
          field: "endpoints",
          problem: `${gone.length} endpoints lead to pods that do not exist`,
          evidence: gone
            .slice(0, 4)
            .map(({ address, pod, slice }) => `${address} of pod ${pod ?? ""} in EndpointSlice ${slice}`),
          remedy: "look at the endpoint-slice controller, or delete the EndpointSlice if it was made by hand",
        };
      const lost = ready.filter(({ nodeName }) => nodeName !== undefined && down.has(nodeName));
      const [first] = lost;
      if (first)
        yield {
          severity: "warning",
          object,
          field: "endpoints",
          problem: `${lost.length} endpoints are on nodes that are not ready`,
          evidence: [...new Set(lost.map(({ nodeName = "" }) => nodeName))].map(
            (name) => `node ${name}: ${down.get(name) ?? ""}`,
          ),
          remedy: `bring the nodes back: ${some([...new Set(lost.map(({ nodeName = "" }) => nodeName))])}`,
        };
    }
  },
};
