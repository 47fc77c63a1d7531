import { describe, expect, it } from "vitest";
import { decode, describeFault, resources, strategyFor, type KubeObject, type Resource } from "./index.ts";

const context = { now: "2030-01-01T00:00:00Z" };

/** Creates an object as the API server does: decoded, defaulted, validated. */
function create(resource: Resource, value: object): { object: KubeObject; faults: string[] } {
  const { object } = decode(resource, { metadata: { name: "x", namespace: "default" }, ...value });
  if (!resource.namespaced) delete object.metadata.namespace;
  const strategy = strategyFor(resource);
  strategy.prepareForCreate(object, context);
  return { object, faults: strategy.validateCreate(object, context).map(describeFault) };
}

const pod = { containers: [{ name: "web", image: "nginx" }] };
const labels = { app: "web" };
const workload = { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: pod } };

describe("the smallest good object of each kind has no faults", () => {
  const smallest: Partial<Record<keyof typeof resources, object>> = {
    Pod: { spec: pod },
    Service: { spec: { ports: [{ port: 80 }] } },
    Deployment: { spec: workload },
    ReplicaSet: { spec: workload },
    EndpointSlice: { addressType: "IPv4" },
    Ingress: { spec: { defaultBackend: { service: { name: "web", port: { number: 80 } } } } },
    IngressClass: { spec: { controller: "example.com/ingress" } },
    RoleBinding: { roleRef: { kind: "Role", name: "r" } },
    ClusterRoleBinding: { roleRef: { kind: "ClusterRole", name: "r" } },
    Event: { involvedObject: { namespace: "default" } },
  };
  it.each(Object.values(resources).map((resource) => [resource.kind, resource] as const))("%s", (kind, resource) => {
    expect(create(resource, smallest[kind as keyof typeof resources] ?? {}).faults).toEqual([]);
  });
});
