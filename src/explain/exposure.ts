import type {
  EndpointSlice,
  Event,
  Ingress,
  IngressClass,
  Node,
  Pod,
  Secret,
  Service,
  ServiceCIDR,
} from "../kube/index.ts";
import type { AnnounceObjects } from "../loadbalancer/index.ts";
import type { RouteKindName } from "../routing/index.ts";
import type { Holding } from "./held.ts";

/** A way in which an application can be reached. */
export type Way = "ClusterIP" | "Headless" | "NodePort" | "LoadBalancer" | "ExternalName" | "Ingress" | GatewayKind;

/** Kinds of the Gateway API that expose something. */
export type GatewayKind = "Gateway" | RouteKindName;

/** One thing that is exposed, in one way. */
export interface Exposure {
  readonly namespace: string;
  readonly kind: "Service" | "Ingress" | GatewayKind;
  readonly name: string;
  readonly way: Way;
  /** Where it answers: `10.96.3.7:8080/TCP`, or for an Ingress, or a route for HTTP, the URL. */
  readonly addresses: readonly string[];
  /** Names it answers on, in the cluster's DNS or as Host of a request. */
  readonly names: readonly string[];
  /** How many endpoints are behind it; absent where there are none by nature (ExternalName). */
  readonly endpoints?: { readonly ready: number; readonly total: number };
  /** Who has each address of a load balancer now; absent where every node answers for them. */
  readonly held?: readonly Holding[];
  /** Why it cannot be reached, or not in full; absent when all is well. */
  readonly reason?: string;
}

/** What is known of a cluster: the state of its objects at one moment. */
export interface ClusterObjects {
  readonly services: readonly Service[];
  readonly slices: readonly EndpointSlice[];
  readonly pods: readonly Pod[];
  readonly nodes: readonly Node[];
  readonly ingresses: readonly Ingress[];
  readonly classes: readonly IngressClass[];
  /** Those that the Ingresses name. */
  readonly secrets: readonly Secret[];
  readonly events: readonly Event[];
  /** Where Services have their addresses. */
  readonly serviceCidrs: readonly ServiceCIDR[];
  /** How addresses are announced. Absent: nothing is known of it. */
  readonly announcing?: AnnounceObjects;
}

export const noObjects: ClusterObjects = {
  services: [],
  slices: [],
  pods: [],
  nodes: [],
  ingresses: [],
  classes: [],
  secrets: [],
  events: [],
  serviceCidrs: [],
};
