import type { KubeObject, Resource } from "../../kube/index.ts";
import { bindingPrinter } from "./bindings.ts";
import {
  configMapPrinter,
  eventPrinter,
  leasePrinter,
  namespacePrinter,
  nodePrinter,
  secretPrinter,
  serviceAccountPrinter,
} from "./cluster.ts";
import { date, nameColumn, type Cell, type Column, type Printer, type RowCondition } from "./columns.ts";
import {
  endpointsPrinter,
  endpointSlicePrinter,
  ingressClassPrinter,
  ingressPrinter,
  servicePrinter,
} from "./network.ts";
import {
  controllerRevisionPrinter,
  cronJobPrinter,
  daemonSetPrinter,
  horizontalPodAutoscalerPrinter,
  jobPrinter,
  podDisruptionBudgetPrinter,
  podTemplatePrinter,
  replicationControllerPrinter,
  statefulSetPrinter,
} from "./more-workloads.ts";
import {
  csiDriverPrinter,
  csiNodePrinter,
  persistentVolumeClaimPrinter,
  persistentVolumePrinter,
  storageClassPrinter,
  volumeAttachmentPrinter,
  volumeAttributesClassPrinter,
} from "./storage.ts";
import {
  agePrinter,
  apiServicePrinter,
  certificateSigningRequestPrinter,
  flowSchemaPrinter,
  ipAddressPrinter,
  mutatingAdmissionPolicyPrinter,
  networkPolicyPrinter,
  policyBindingPrinter,
  priorityClassPrinter,
  priorityLevelPrinter,
  resourceClaimPrinter,
  resourceQuotaPrinter,
  resourceSlicePrinter,
  runtimeClassPrinter,
  serviceCidrPrinter,
  validatingAdmissionPolicyPrinter,
  webhookConfigurationPrinter,
} from "./configuration.ts";
import { podPrinter } from "./pods.ts";
import { deploymentPrinter, replicaSetPrinter, scalePrinter } from "./workloads.ts";

export interface TableOptions {
  /** Milliseconds since the epoch: ages count from here. */
  readonly now: number;
  /** What a row carries beside its cells: nothing, the object's metadata or the whole object. */
  readonly includeObject: "None" | "Metadata" | "Object";
  /** Columns of a kind that is not built in. */
  readonly printer?: Printer<KubeObject> | undefined;
}

export interface TableRow {
  readonly cells: readonly Cell[];
  readonly conditions?: readonly RowCondition[];
  readonly object: object | null;
}

/** A Table of meta.k8s.io/v1, without the metadata of the list it stands for. */
export interface Table {
  readonly kind: "Table";
  readonly apiVersion: "meta.k8s.io/v1";
  readonly columnDefinitions: readonly Column[];
  readonly rows: readonly TableRow[];
}

const printers = {
  Pod: podPrinter,
  Service: servicePrinter,
  Endpoints: endpointsPrinter,
  EndpointSlice: endpointSlicePrinter,
  Ingress: ingressPrinter,
  IngressClass: ingressClassPrinter,
  Deployment: deploymentPrinter,
  ReplicaSet: replicaSetPrinter,
  Scale: scalePrinter,
  Node: nodePrinter,
  Namespace: namespacePrinter,
  Event: eventPrinter,
  Secret: secretPrinter,
  ConfigMap: configMapPrinter,
  ServiceAccount: serviceAccountPrinter,
  Lease: leasePrinter,
  RoleBinding: bindingPrinter,
  ClusterRoleBinding: bindingPrinter,
  StatefulSet: statefulSetPrinter,
  DaemonSet: daemonSetPrinter,
  ReplicationController: replicationControllerPrinter,
  PodTemplate: podTemplatePrinter,
  ControllerRevision: controllerRevisionPrinter,
  Job: jobPrinter,
  CronJob: cronJobPrinter,
  PodDisruptionBudget: podDisruptionBudgetPrinter,
  HorizontalPodAutoscaler: horizontalPodAutoscalerPrinter,
  PersistentVolume: persistentVolumePrinter,
  PersistentVolumeClaim: persistentVolumeClaimPrinter,
  StorageClass: storageClassPrinter,
  VolumeAttributesClass: volumeAttributesClassPrinter,
  VolumeAttachment: volumeAttachmentPrinter,
  CSIDriver: csiDriverPrinter,
  CSINode: csiNodePrinter,
  NetworkPolicy: networkPolicyPrinter,
  ServiceCIDR: serviceCidrPrinter,
  IPAddress: ipAddressPrinter,
  ResourceQuota: resourceQuotaPrinter,
  PriorityClass: priorityClassPrinter,
  RuntimeClass: runtimeClassPrinter,
  CertificateSigningRequest: certificateSigningRequestPrinter,
  ValidatingWebhookConfiguration: webhookConfigurationPrinter,
  MutatingWebhookConfiguration: webhookConfigurationPrinter,
  ValidatingAdmissionPolicy: validatingAdmissionPolicyPrinter,
  MutatingAdmissionPolicy: mutatingAdmissionPolicyPrinter,
  ValidatingAdmissionPolicyBinding: policyBindingPrinter,
  MutatingAdmissionPolicyBinding: policyBindingPrinter,
  FlowSchema: flowSchemaPrinter,
  PriorityLevelConfiguration: priorityLevelPrinter,
  DeviceClass: agePrinter,
  APIService: apiServicePrinter,
  ResourceClaimTemplate: agePrinter,
  ResourceClaim: resourceClaimPrinter,
  ResourceSlice: resourceSlicePrinter,
};

/** For kinds without columns of their own. */
const plainPrinter: Printer<KubeObject> = {
  columns: [nameColumn, date("Created At", "When the object was created, as RFC 3339.")],
  cells: ({ metadata }) => [metadata.name, metadata.creationTimestamp ?? ""],
};

/** Objects of one kind as the table that `kubectl get` prints, with the columns and words of Kubernetes 1.35. */
export function tableFor(
  { kind }: Pick<Resource, "kind">,
  objects: readonly KubeObject[],
  options: TableOptions,
): Table {
  const printer = options.printer ?? (printers as Record<string, Printer<never>>)[kind] ?? plainPrinter;
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    columnDefinitions: printer.columns,
    rows: objects.map((object) => rowFor(printer as Printer<KubeObject>, object, options)),
  };
}

function rowFor(printer: Printer<KubeObject>, object: KubeObject, { now, includeObject }: TableOptions): TableRow {
  const conditions = printer.conditions?.(object) ?? [];
  return {
    cells: printer.cells(object, now),
    ...(conditions.length > 0 ? { conditions } : {}),
    object: includeObject === "None" ? null : includeObject === "Object" ? object : metadataOf(object),
  };
}

function metadataOf(object: KubeObject): object {
  return { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: object.metadata };
}
