import { cronJobStrategy } from "./batch/cron-job.ts";
import { jobStrategy } from "./batch/job.ts";
import { persistentVolumeClaimStrategy } from "./core/persistent-volume-claim.ts";
import { podTemplateStrategy } from "./core/pod-template.ts";
import { replicationControllerStrategy } from "./core/replication-controller.ts";
import { controllerRevisionStrategy } from "./apps/controller-revision.ts";
import { daemonSetStrategy } from "./apps/daemon-set.ts";
import { statefulSetStrategy } from "./apps/stateful-set.ts";
import { customResourceDefinitionStrategy } from "./apiextensions/custom-resource-definition.ts";
import { deploymentStrategy } from "./apps/deployment.ts";
import { replicaSetStrategy } from "./apps/replica-set.ts";
import { certificateSigningRequestStrategy } from "./certificates/certificate-signing-request.ts";
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
import { resources, type Resource } from "./resource.ts";
import type { Strategy } from "./strategy.ts";
import { structuralStrategy } from "./structural-strategy.ts";

const plain = (kind: keyof typeof resources): Strategy => structuralStrategy(resources[kind]);
const counted = (kind: keyof typeof resources): Strategy => structuralStrategy(resources[kind], { generation: true });

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
  PodTemplate: podTemplateStrategy,
  ReplicationController: replicationControllerStrategy,
  StatefulSet: statefulSetStrategy,
  DaemonSet: daemonSetStrategy,
  Job: jobStrategy,
  CronJob: cronJobStrategy,
  PodDisruptionBudget: counted("PodDisruptionBudget"),
  NetworkPolicy: counted("NetworkPolicy"),
  CustomResourceDefinition: customResourceDefinitionStrategy,
  FlowSchema: counted("FlowSchema"),
  PriorityLevelConfiguration: counted("PriorityLevelConfiguration"),
  ValidatingAdmissionPolicy: counted("ValidatingAdmissionPolicy"),
  ValidatingAdmissionPolicyBinding: counted("ValidatingAdmissionPolicyBinding"),
  MutatingAdmissionPolicy: counted("MutatingAdmissionPolicy"),
  MutatingAdmissionPolicyBinding: counted("MutatingAdmissionPolicyBinding"),
  PersistentVolume: plain("PersistentVolume"),
  PersistentVolumeClaim: persistentVolumeClaimStrategy,
  LimitRange: plain("LimitRange"),
  ResourceQuota: plain("ResourceQuota"),
  ControllerRevision: controllerRevisionStrategy,
  HorizontalPodAutoscaler: plain("HorizontalPodAutoscaler"),
  ServiceCIDR: plain("ServiceCIDR"),
  IPAddress: plain("IPAddress"),
  StorageClass: plain("StorageClass"),
  CSIDriver: plain("CSIDriver"),
  CSINode: plain("CSINode"),
  CSIStorageCapacity: plain("CSIStorageCapacity"),
  VolumeAttachment: plain("VolumeAttachment"),
  VolumeAttributesClass: plain("VolumeAttributesClass"),
  PriorityClass: plain("PriorityClass"),
  RuntimeClass: plain("RuntimeClass"),
  CertificateSigningRequest: certificateSigningRequestStrategy,
  MutatingWebhookConfiguration: plain("MutatingWebhookConfiguration"),
  ValidatingWebhookConfiguration: plain("ValidatingWebhookConfiguration"),
  APIService: plain("APIService"),
  DeviceClass: plain("DeviceClass"),
  ResourceClaim: plain("ResourceClaim"),
  ResourceClaimTemplate: plain("ResourceClaimTemplate"),
  ResourceSlice: plain("ResourceSlice"),
};

/** What a stored kind does on write. */
export function strategyFor(resource: Resource): Strategy {
  const strategy = strategies[resource.kind as keyof typeof strategies];
  if (!strategy) throw new Error(`no strategy for ${resource.kind}`);
  return strategy;
}
