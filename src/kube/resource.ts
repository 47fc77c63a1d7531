import type * as t from "./generated/types.ts";
import type { KubeObject } from "./object.ts";

/** One kind as the API serves it. The type parameter is the object's TypeScript type. */
export interface Resource<T extends KubeObject = KubeObject> {
  /** API group; "" is the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Plural name, as in the URL. */
  readonly plural: string;
  readonly singular: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  /** Subresources that the API serves for this kind. */
  readonly subresources: readonly string[];
  /** Only carries the type. */
  readonly object?: T;
}

/** `v1` or `apps/v1`. */
export function apiVersionOf(resource: { readonly group: string; readonly version: string }): string {
  return resource.group ? `${resource.group}/${resource.version}` : resource.version;
}

/** URL of a collection or, with `name`, of one object and, with `subresource`, of a part of it. */
export function pathOf(
  resource: Resource,
  where: { namespace?: string | undefined; name?: string | undefined; subresource?: string | undefined } = {},
): string {
  const root = resource.group ? `/apis/${resource.group}/${resource.version}` : `/api/${resource.version}`;
  const scope = resource.namespaced && where.namespace ? `/namespaces/${encodeURIComponent(where.namespace)}` : "";
  const name = where.name ? `/${encodeURIComponent(where.name)}` : "";
  return `${root}${scope}/${resource.plural}${name}${where.subresource ? `/${where.subresource}` : ""}`;
}

interface Shape {
  group?: string;
  plural?: string;
  namespaced?: boolean;
  shortNames?: string[];
  categories?: string[];
  subresources?: string[];
}

function define<T extends KubeObject>(kind: string, shape: Shape = {}): Resource<T> {
  const singular = kind.toLowerCase();
  return {
    group: shape.group ?? "",
    version: "v1",
    kind,
    plural: shape.plural ?? `${singular}s`,
    singular,
    namespaced: shape.namespaced ?? true,
    shortNames: shape.shortNames ?? [],
    categories: shape.categories ?? [],
    subresources: shape.subresources ?? [],
  };
}

const rbac = "rbac.authorization.k8s.io";

/** Every kind that is stored and served, by kind name. Names, short names and categories are those of Kubernetes. */
export const resources = {
  Namespace: define<t.Namespace>("Namespace", {
    namespaced: false,
    shortNames: ["ns"],
    subresources: ["status", "finalize"],
  }),
  Node: define<t.Node>("Node", { namespaced: false, shortNames: ["no"], subresources: ["status"] }),
  Pod: define<t.Pod>("Pod", {
    shortNames: ["po"],
    categories: ["all"],
    subresources: ["status", "log", "binding", "eviction"],
  }),
  Service: define<t.Service>("Service", { shortNames: ["svc"], categories: ["all"], subresources: ["status"] }),
  Endpoints: define<t.Endpoints>("Endpoints", { plural: "endpoints", shortNames: ["ep"] }),
  ConfigMap: define<t.ConfigMap>("ConfigMap", { shortNames: ["cm"] }),
  Secret: define<t.Secret>("Secret"),
  ServiceAccount: define<t.ServiceAccount>("ServiceAccount", { shortNames: ["sa"], subresources: ["token"] }),
  Event: define<t.Event>("Event", { shortNames: ["ev"] }),
  Deployment: define<t.Deployment>("Deployment", {
    group: "apps",
    shortNames: ["deploy"],
    categories: ["all"],
    subresources: ["status", "scale"],
  }),
  ReplicaSet: define<t.ReplicaSet>("ReplicaSet", {
    group: "apps",
    shortNames: ["rs"],
    categories: ["all"],
    subresources: ["status", "scale"],
  }),
  EndpointSlice: define<t.EndpointSlice>("EndpointSlice", { group: "discovery.k8s.io" }),
  Lease: define<t.Lease>("Lease", { group: "coordination.k8s.io" }),
  Ingress: define<t.Ingress>("Ingress", {
    group: "networking.k8s.io",
    plural: "ingresses",
    shortNames: ["ing"],
    subresources: ["status"],
  }),
  IngressClass: define<t.IngressClass>("IngressClass", {
    group: "networking.k8s.io",
    plural: "ingressclasses",
    namespaced: false,
  }),
  Role: define<t.Role>("Role", { group: rbac }),
  RoleBinding: define<t.RoleBinding>("RoleBinding", { group: rbac }),
  ClusterRole: define<t.ClusterRole>("ClusterRole", { group: rbac, namespaced: false }),
  ClusterRoleBinding: define<t.ClusterRoleBinding>("ClusterRoleBinding", { group: rbac, namespaced: false }),
} as const;

/** events.k8s.io/v1: another view of the stored core/v1 Events. */
export const eventsV1: Resource<t.EventsEvent> = define<t.EventsEvent>("Event", {
  group: "events.k8s.io",
  shortNames: ["ev"],
});
