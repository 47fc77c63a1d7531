import type * as t from "./generated/types.ts";
import type { Structured } from "./decode/structure.ts";
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
  /** How a value becomes an object of a kind that is not built in: a custom resource. May change the value. Throws StructureError. */
  readonly reads?: (value: Readonly<Record<string, unknown>>) => Structured;
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
  /** Default v1. */
  version?: string;
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
    version: shape.version ?? "v1",
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
const storage = "storage.k8s.io";
const networking = "networking.k8s.io";
const admission = "admissionregistration.k8s.io";
const flowControl = "flowcontrol.apiserver.k8s.io";
const devices = "resource.k8s.io";

const authentication = "authentication.k8s.io";
const authorization = "authorization.k8s.io";

/** Questions of who somebody is and what they may do: POST alone, answered and not stored. */
export const reviewResources = {
  TokenReview: define<t.TokenReview>("TokenReview", { group: authentication, namespaced: false }),
  SelfSubjectReview: define<t.SelfSubjectReview>("SelfSubjectReview", { group: authentication, namespaced: false }),
  SubjectAccessReview: define<t.SubjectAccessReview>("SubjectAccessReview", {
    group: authorization,
    namespaced: false,
  }),
  SelfSubjectAccessReview: define<t.SelfSubjectAccessReview>("SelfSubjectAccessReview", {
    group: authorization,
    namespaced: false,
  }),
  LocalSubjectAccessReview: define<t.LocalSubjectAccessReview>("LocalSubjectAccessReview", { group: authorization }),
  SelfSubjectRulesReview: define<t.SelfSubjectRulesReview>("SelfSubjectRulesReview", {
    group: authorization,
    namespaced: false,
  }),
} as const;

/** Every kind that is stored and served, by kind name. Names, short names and categories are those of Kubernetes. */
export const resources = {
  Namespace: define<t.Namespace>("Namespace", {
    namespaced: false,
    shortNames: ["ns"],
    subresources: ["status", "finalize"],
  }),
  Node: define<t.Node>("Node", { namespaced: false, shortNames: ["no"], subresources: ["status", "proxy"] }),
  Pod: define<t.Pod>("Pod", {
    shortNames: ["po"],
    categories: ["all"],
    subresources: [
      "status",
      "log",
      "binding",
      "eviction",
      "exec",
      "attach",
      "portforward",
      "proxy",
      "ephemeralcontainers",
      "resize",
    ],
  }),
  Service: define<t.Service>("Service", {
    shortNames: ["svc"],
    categories: ["all"],
    subresources: ["status", "proxy"],
  }),
  Endpoints: define<t.Endpoints>("Endpoints", { plural: "endpoints", shortNames: ["ep"] }),
  ConfigMap: define<t.ConfigMap>("ConfigMap", { shortNames: ["cm"] }),
  Secret: define<t.Secret>("Secret"),
  ServiceAccount: define<t.ServiceAccount>("ServiceAccount", { shortNames: ["sa"], subresources: ["token"] }),
  Event: define<t.Event>("Event", { shortNames: ["ev"] }),
  PodTemplate: define<t.PodTemplate>("PodTemplate"),
  ReplicationController: define<t.ReplicationController>("ReplicationController", {
    shortNames: ["rc"],
    categories: ["all"],
    subresources: ["status", "scale"],
  }),
  PersistentVolume: define<t.PersistentVolume>("PersistentVolume", {
    namespaced: false,
    shortNames: ["pv"],
    subresources: ["status"],
  }),
  PersistentVolumeClaim: define<t.PersistentVolumeClaim>("PersistentVolumeClaim", {
    shortNames: ["pvc"],
    subresources: ["status"],
  }),
  LimitRange: define<t.LimitRange>("LimitRange", { shortNames: ["limits"] }),
  ResourceQuota: define<t.ResourceQuota>("ResourceQuota", { shortNames: ["quota"], subresources: ["status"] }),
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
  StatefulSet: define<t.StatefulSet>("StatefulSet", {
    group: "apps",
    shortNames: ["sts"],
    categories: ["all"],
    subresources: ["status", "scale"],
  }),
  DaemonSet: define<t.DaemonSet>("DaemonSet", {
    group: "apps",
    shortNames: ["ds"],
    categories: ["all"],
    subresources: ["status"],
  }),
  ControllerRevision: define<t.ControllerRevision>("ControllerRevision", { group: "apps" }),
  Job: define<t.Job>("Job", { group: "batch", categories: ["all"], subresources: ["status"] }),
  CronJob: define<t.CronJob>("CronJob", {
    group: "batch",
    shortNames: ["cj"],
    categories: ["all"],
    subresources: ["status"],
  }),
  /** Stored as v2; v1 is a view of it. */
  HorizontalPodAutoscaler: define<t.HorizontalPodAutoscaler>("HorizontalPodAutoscaler", {
    group: "autoscaling",
    version: "v2",
    shortNames: ["hpa"],
    categories: ["all"],
    subresources: ["status"],
  }),
  PodDisruptionBudget: define<t.PodDisruptionBudget>("PodDisruptionBudget", {
    group: "policy",
    shortNames: ["pdb"],
    subresources: ["status"],
  }),
  EndpointSlice: define<t.EndpointSlice>("EndpointSlice", { group: "discovery.k8s.io" }),
  Lease: define<t.Lease>("Lease", { group: "coordination.k8s.io" }),
  Ingress: define<t.Ingress>("Ingress", {
    group: networking,
    plural: "ingresses",
    shortNames: ["ing"],
    subresources: ["status"],
  }),
  IngressClass: define<t.IngressClass>("IngressClass", {
    group: networking,
    plural: "ingressclasses",
    namespaced: false,
  }),
  NetworkPolicy: define<t.NetworkPolicy>("NetworkPolicy", {
    group: networking,
    plural: "networkpolicies",
    shortNames: ["netpol"],
  }),
  ServiceCIDR: define<t.ServiceCIDR>("ServiceCIDR", { group: networking, namespaced: false, subresources: ["status"] }),
  IPAddress: define<t.IPAddress>("IPAddress", {
    group: networking,
    plural: "ipaddresses",
    namespaced: false,
    shortNames: ["ip"],
  }),
  Role: define<t.Role>("Role", { group: rbac }),
  RoleBinding: define<t.RoleBinding>("RoleBinding", { group: rbac }),
  ClusterRole: define<t.ClusterRole>("ClusterRole", { group: rbac, namespaced: false }),
  ClusterRoleBinding: define<t.ClusterRoleBinding>("ClusterRoleBinding", { group: rbac, namespaced: false }),
  StorageClass: define<t.StorageClass>("StorageClass", {
    group: storage,
    plural: "storageclasses",
    namespaced: false,
    shortNames: ["sc"],
  }),
  CSIDriver: define<t.CSIDriver>("CSIDriver", { group: storage, namespaced: false }),
  CSINode: define<t.CSINode>("CSINode", { group: storage, namespaced: false }),
  CSIStorageCapacity: define<t.CSIStorageCapacity>("CSIStorageCapacity", {
    group: storage,
    plural: "csistoragecapacities",
  }),
  VolumeAttachment: define<t.VolumeAttachment>("VolumeAttachment", {
    group: storage,
    namespaced: false,
    subresources: ["status"],
  }),
  VolumeAttributesClass: define<t.VolumeAttributesClass>("VolumeAttributesClass", {
    group: storage,
    plural: "volumeattributesclasses",
    namespaced: false,
    shortNames: ["vac"],
  }),
  PriorityClass: define<t.PriorityClass>("PriorityClass", {
    group: "scheduling.k8s.io",
    plural: "priorityclasses",
    namespaced: false,
    shortNames: ["pc"],
  }),
  RuntimeClass: define<t.RuntimeClass>("RuntimeClass", {
    group: "node.k8s.io",
    plural: "runtimeclasses",
    namespaced: false,
  }),
  CertificateSigningRequest: define<t.CertificateSigningRequest>("CertificateSigningRequest", {
    group: "certificates.k8s.io",
    namespaced: false,
    shortNames: ["csr"],
    subresources: ["status", "approval"],
  }),
  MutatingWebhookConfiguration: define<t.MutatingWebhookConfiguration>("MutatingWebhookConfiguration", {
    group: admission,
    namespaced: false,
    categories: ["api-extensions"],
  }),
  ValidatingWebhookConfiguration: define<t.ValidatingWebhookConfiguration>("ValidatingWebhookConfiguration", {
    group: admission,
    namespaced: false,
    categories: ["api-extensions"],
  }),
  ValidatingAdmissionPolicy: define<t.ValidatingAdmissionPolicy>("ValidatingAdmissionPolicy", {
    group: admission,
    plural: "validatingadmissionpolicies",
    namespaced: false,
    categories: ["api-extensions"],
    subresources: ["status"],
  }),
  ValidatingAdmissionPolicyBinding: define<t.ValidatingAdmissionPolicyBinding>("ValidatingAdmissionPolicyBinding", {
    group: admission,
    namespaced: false,
    categories: ["api-extensions"],
  }),
  MutatingAdmissionPolicy: define<t.MutatingAdmissionPolicy>("MutatingAdmissionPolicy", {
    group: admission,
    plural: "mutatingadmissionpolicies",
    namespaced: false,
    categories: ["api-extensions"],
  }),
  MutatingAdmissionPolicyBinding: define<t.MutatingAdmissionPolicyBinding>("MutatingAdmissionPolicyBinding", {
    group: admission,
    namespaced: false,
    categories: ["api-extensions"],
  }),
  CustomResourceDefinition: define<t.CustomResourceDefinition>("CustomResourceDefinition", {
    group: "apiextensions.k8s.io",
    namespaced: false,
    shortNames: ["crd", "crds"],
    categories: ["api-extensions"],
    subresources: ["status"],
  }),
  APIService: define<t.APIService>("APIService", {
    group: "apiregistration.k8s.io",
    namespaced: false,
    categories: ["api-extensions"],
    subresources: ["status"],
  }),
  FlowSchema: define<t.FlowSchema>("FlowSchema", { group: flowControl, namespaced: false, subresources: ["status"] }),
  PriorityLevelConfiguration: define<t.PriorityLevelConfiguration>("PriorityLevelConfiguration", {
    group: flowControl,
    namespaced: false,
    subresources: ["status"],
  }),
  DeviceClass: define<t.DeviceClass>("DeviceClass", { group: devices, plural: "deviceclasses", namespaced: false }),
  ResourceClaim: define<t.ResourceClaim>("ResourceClaim", { group: devices, subresources: ["status"] }),
  ResourceClaimTemplate: define<t.ResourceClaimTemplate>("ResourceClaimTemplate", { group: devices }),
  ResourceSlice: define<t.ResourceSlice>("ResourceSlice", { group: devices, namespaced: false }),
} as const;

/** events.k8s.io/v1: another view of the stored core/v1 Events. */
export const eventsV1: Resource<t.EventsEvent> = define<t.EventsEvent>("Event", {
  group: "events.k8s.io",
  shortNames: ["ev"],
});

/** autoscaling/v1: another view of the stored autoscaling/v2 HorizontalPodAutoscalers. */
export const horizontalPodAutoscalerV1: Resource<t.HorizontalPodAutoscalerV1> = define<t.HorizontalPodAutoscalerV1>(
  "HorizontalPodAutoscaler",
  { group: "autoscaling", shortNames: ["hpa"], categories: ["all"], subresources: ["status"] },
);
