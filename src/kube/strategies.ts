import { deploymentStrategy } from "./apps/deployment.ts";
import { replicaSetStrategy } from "./apps/replica-set.ts";
import { leaseStrategy } from "./coordination/lease.ts";
import { configMapStrategy } from "./core/config-map.ts";
import { endpointsStrategy } from "./core/endpoints.ts";
import { eventStrategy } from "./core/event.ts";
import { namespaceStrategy } from "./core/namespace.ts";
import { nodeStrategy } from "./core/node.ts";
import { podStrategy } from "./core/pod.ts";
import { secretStrategy } from "./core/secret.ts";
import { serviceAccountStrategy } from "./core/service-account.ts";
import { serviceStrategy } from "./core/service.ts";
import { endpointSliceStrategy } from "./discovery/endpoint-slice.ts";
import { ingressClassStrategy } from "./networking/ingress-class.ts";
import { ingressStrategy } from "./networking/ingress.ts";
import { clusterRoleBindingStrategy, roleBindingStrategy } from "./rbac/role-binding.ts";
import { clusterRoleStrategy, roleStrategy } from "./rbac/role.ts";
import type { Resource, resources } from "./resource.ts";
import type { Strategy } from "./strategy.ts";

const strategies: Readonly<Record<keyof typeof resources, Strategy>> = {
  Namespace: namespaceStrategy,
  Node: nodeStrategy,
  Pod: podStrategy,
  Service: serviceStrategy,
  Endpoints: endpointsStrategy,
  ConfigMap: configMapStrategy,
  Secret: secretStrategy,
  ServiceAccount: serviceAccountStrategy,
  Event: eventStrategy,
  Deployment: deploymentStrategy,
  ReplicaSet: replicaSetStrategy,
  EndpointSlice: endpointSliceStrategy,
  Lease: leaseStrategy,
  Ingress: ingressStrategy,
  IngressClass: ingressClassStrategy,
  Role: roleStrategy,
  RoleBinding: roleBindingStrategy,
  ClusterRole: clusterRoleStrategy,
  ClusterRoleBinding: clusterRoleBindingStrategy,
};

/** What a stored kind does on write. */
export function strategyFor(resource: Resource): Strategy {
  const strategy = strategies[resource.kind as keyof typeof strategies];
  if (!strategy) throw new Error(`no strategy for ${resource.kind}`);
  return strategy;
}
