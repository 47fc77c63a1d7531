import {
  validatingAdmissionPolicyStrategy,
  mutatingAdmissionPolicyStrategy,
} from "./admissionregistration/admission-policy.ts";
import {
  validatingAdmissionPolicyBindingStrategy,
  mutatingAdmissionPolicyBindingStrategy,
} from "./admissionregistration/policy-binding.ts";
import {
  validatingWebhookConfigurationStrategy,
  mutatingWebhookConfigurationStrategy,
} from "./admissionregistration/webhook-configuration.ts";
import { persistentVolumeStrategy } from "./core/persistent-volume.ts";
import { resourceQuotaStrategy } from "./core/resource-quota.ts";
import { limitRangeStrategy } from "./core/limit-range.ts";
import { flowSchemaStrategy } from "./flowcontrol/flow-schema.ts";
import { priorityLevelConfigurationStrategy } from "./flowcontrol/priority-level.ts";
import { runtimeClassStrategy } from "./node/runtime-class.ts";
import { csiDriverStrategy } from "./storage/csi-driver.ts";
import { csiNodeStrategy } from "./storage/csi-node.ts";
import { csiStorageCapacityStrategy } from "./storage/csi-storage-capacity.ts";
import { volumeAttachmentStrategy } from "./storage/volume-attachment.ts";
import { volumeAttributesClassStrategy } from "./storage/volume-attributes-class.ts";
import { storageClassStrategy } from "./storage/storage-class.ts";
import { priorityClassStrategy } from "./scheduling/priority-class.ts";
import { serviceCidrStrategy } from "./networking/service-cidr.ts";
import { ipAddressStrategy } from "./networking/ip-address.ts";
import { networkPolicyStrategy } from "./networking/network-policy.ts";
import { horizontalPodAutoscalerStrategy } from "./autoscaling/horizontal-pod-autoscaler.ts";
import { podDisruptionBudgetStrategy } from "./policy/pod-disruption-budget.ts";
import { cronJobStrategy } from "./batch/cron-job.ts";
import { jobStrategy } from "./batch/job.ts";
import { persistentVolumeClaimStrategy } from "./core/persistent-volume-claim.ts";
import { podTemplateStrategy } from "./core/pod-template.ts";
import { replicationControllerStrategy } from "./core/replication-controller.ts";
import { controllerRevisionStrategy } from "./apps/controller-revision.ts";
import { daemonSetStrategy } from "./apps/daemon-set.ts";
import { statefulSetStrategy } from "./apps/stateful-set.ts";
import { apiServiceStrategy } from "./apiregistration/api-service.ts";
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

const counted = (kind: keyof typeof resources): Strategy => structuralStrategy(resources[kind], { generation: true });
const plain = (kind: keyof typeof resources): Strategy => structuralStrategy(resources[kind]);

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
  PodDisruptionBudget: podDisruptionBudgetStrategy,
  NetworkPolicy: networkPolicyStrategy,
  CustomResourceDefinition: customResourceDefinitionStrategy,
  FlowSchema: flowSchemaStrategy,
  PriorityLevelConfiguration: priorityLevelConfigurationStrategy,
  ValidatingAdmissionPolicy: validatingAdmissionPolicyStrategy,
  ValidatingAdmissionPolicyBinding: validatingAdmissionPolicyBindingStrategy,
  MutatingAdmissionPolicy: mutatingAdmissionPolicyStrategy,
  MutatingAdmissionPolicyBinding: mutatingAdmissionPolicyBindingStrategy,
  PersistentVolume: persistentVolumeStrategy,
  PersistentVolumeClaim: persistentVolumeClaimStrategy,
  LimitRange: limitRangeStrategy,
  ResourceQuota: resourceQuotaStrategy,
  ControllerRevision: controllerRevisionStrategy,
  HorizontalPodAutoscaler: horizontalPodAutoscalerStrategy,
  ServiceCIDR: serviceCidrStrategy,
  IPAddress: ipAddressStrategy,
  StorageClass: storageClassStrategy,
  CSIDriver: csiDriverStrategy,
  CSINode: csiNodeStrategy,
  CSIStorageCapacity: csiStorageCapacityStrategy,
  VolumeAttachment: volumeAttachmentStrategy,
  VolumeAttributesClass: volumeAttributesClassStrategy,
  PriorityClass: priorityClassStrategy,
  RuntimeClass: runtimeClassStrategy,
  CertificateSigningRequest: certificateSigningRequestStrategy,
  MutatingWebhookConfiguration: mutatingWebhookConfigurationStrategy,
  ValidatingWebhookConfiguration: validatingWebhookConfigurationStrategy,
  APIService: apiServiceStrategy,
  DeviceClass: counted("DeviceClass"),
  ResourceClaim: plain("ResourceClaim"),
  ResourceClaimTemplate: plain("ResourceClaimTemplate"),
  ResourceSlice: counted("ResourceSlice"),
};

/** What a stored kind does on write. */
export function strategyFor(resource: Resource): Strategy {
  const strategy = strategies[resource.kind as keyof typeof strategies];
  if (!strategy) throw new Error(`no strategy for ${resource.kind}`);
  return strategy;
}
