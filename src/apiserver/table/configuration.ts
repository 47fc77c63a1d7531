import {
  humanDuration,
  type APIService,
  type CertificateSigningRequest,
  type DeviceClass,
  type FlowSchema,
  type IPAddress,
  type MutatingAdmissionPolicy,
  type MutatingAdmissionPolicyBinding,
  type MutatingWebhookConfiguration,
  type NetworkPolicy,
  type PriorityClass,
  type PriorityLevelConfiguration,
  type ResourceClaim,
  type ResourceClaimTemplate,
  type ResourceQuota,
  type ResourceSlice,
  type RuntimeClass,
  type ServiceCIDR,
  type ValidatingAdmissionPolicy,
  type ValidatingAdmissionPolicyBinding,
  type ValidatingWebhookConfiguration,
} from "../../kube/index.ts";
import { ageColumn, ageOf, boolean, formatSelector, integer, nameColumn, text, type Printer } from "./columns.ts";

export const networkPolicyPrinter: Printer<NetworkPolicy> = {
  columns: [nameColumn, text("Pod-Selector", "Labels of the pods that it is about."), ageColumn],
  cells: (policy, now) => [policy.metadata.name, formatSelector(policy.spec.podSelector), ageOf(policy, now)],
};

export const serviceCidrPrinter: Printer<ServiceCIDR> = {
  columns: [nameColumn, text("CIDRs", "Blocks of addresses of Services."), ageColumn],
  cells: (one, now) => [one.metadata.name, (one.spec.cidrs ?? []).join(","), ageOf(one, now)],
};

export const ipAddressPrinter: Printer<IPAddress> = {
  columns: [nameColumn, text("ParentRef", "Whose address it is."), ageColumn],
  cells: (address, now) => {
    const { group, resource, namespace, name } = address.spec.parentRef;
    const parent = [group ? `${resource}.${group}` : resource, ...(namespace ? [namespace] : []), name].join("/");
    return [address.metadata.name, parent, ageOf(address, now)];
  },
};

export const resourceQuotaPrinter: Printer<ResourceQuota> = {
  columns: [
    nameColumn,
    text("Request", "What may be asked for, and how much of it is."),
    text("Limit", "What may be used, and how much of it is."),
    ageColumn,
  ],
  cells: (quota, now) => {
    const { hard = {}, used = {} } = quota.status ?? {};
    const line = (isLimit: boolean): string =>
      Object.keys(hard)
        .sort()
        .filter((name) => name.startsWith("limits.") === isLimit)
        .map((name) => `${name}: ${used[name] ?? "0"}/${hard[name] ?? "0"}`)
        .join(", ");
    return [quota.metadata.name, line(false), line(true), ageOf(quota, now)];
  },
};

export const priorityClassPrinter: Printer<PriorityClass> = {
  columns: [
    nameColumn,
    integer("Value", "How important its pods are."),
    boolean("Global-Default", "Pods without a class are of this one."),
    ageColumn,
    text("PreemptionPolicy", "Whether its pods take the place of others."),
  ],
  cells: (one, now) => [
    one.metadata.name,
    one.value ?? 0,
    one.globalDefault ?? false,
    ageOf(one, now),
    one.preemptionPolicy ?? "",
  ],
};

export const runtimeClassPrinter: Printer<RuntimeClass> = {
  columns: [nameColumn, text("Handler", "What runs its containers."), ageColumn],
  cells: (one, now) => [one.metadata.name, one.handler, ageOf(one, now)],
};

export const certificateSigningRequestPrinter: Printer<CertificateSigningRequest> = {
  columns: [
    nameColumn,
    ageColumn,
    text("SignerName", "Who shall sign it."),
    text("Requestor", "Who asks for it."),
    text("RequestedDuration", "How long the certificate shall be good."),
    text("Condition", "What has become of it."),
  ],
  cells: (request, now) => {
    const { spec, status } = request;
    const is = (type: string): boolean => (status?.conditions ?? []).some((one) => one.type === type);
    const verdict = is("Denied") ? "Denied" : is("Approved") ? "Approved" : "Pending";
    const more = [...(is("Failed") ? ["Failed"] : []), ...(status?.certificate ? ["Issued"] : [])];
    return [
      request.metadata.name,
      ageOf(request, now),
      spec.signerName || "<none>",
      spec.username ?? "",
      spec.expirationSeconds === undefined ? "<none>" : humanDuration(spec.expirationSeconds * 1000),
      [verdict, ...more].join(","),
    ];
  },
};

export const webhookConfigurationPrinter: Printer<ValidatingWebhookConfiguration | MutatingWebhookConfiguration> = {
  columns: [nameColumn, integer("Webhooks", "How many webhooks there are."), ageColumn],
  cells: (one, now) => [one.metadata.name, one.webhooks?.length ?? 0, ageOf(one, now)],
};

const paramKindColumn = text("ParamKind", "The kind that parameters are of.");
const paramKindOf = (kind: { apiVersion?: string; kind?: string } | undefined): string =>
  kind ? `${kind.apiVersion ?? ""}/${kind.kind ?? ""}` : "<unset>";

export const validatingAdmissionPolicyPrinter: Printer<ValidatingAdmissionPolicy> = {
  columns: [nameColumn, integer("Validations", "How many rules there are."), paramKindColumn, ageColumn],
  cells: (one, now) => [
    one.metadata.name,
    one.spec.validations?.length ?? 0,
    paramKindOf(one.spec.paramKind),
    ageOf(one, now),
  ],
};

export const mutatingAdmissionPolicyPrinter: Printer<MutatingAdmissionPolicy> = {
  columns: [nameColumn, integer("Mutations", "How many changes there are."), paramKindColumn, ageColumn],
  cells: (one, now) => [
    one.metadata.name,
    one.spec.mutations?.length ?? 0,
    paramKindOf(one.spec.paramKind),
    ageOf(one, now),
  ],
};

export const policyBindingPrinter: Printer<ValidatingAdmissionPolicyBinding | MutatingAdmissionPolicyBinding> = {
  columns: [nameColumn, text("PolicyName", "The policy."), text("ParamRef", "Its parameters."), ageColumn],
  cells: (one, now) => {
    const { paramRef, policyName = "" } = one.spec;
    const { namespace, name = "" } = paramRef ?? {};
    const shown = paramRef ? (namespace ? `${namespace}/${name}` : name || "*") : "<unset>";
    return [one.metadata.name, policyName, shown, ageOf(one, now)];
  },
};

export const flowSchemaPrinter: Printer<FlowSchema> = {
  columns: [
    nameColumn,
    text("PriorityLevel", "The level of its requests."),
    text("MatchingPrecedence", "Which schema comes first: the lowest."),
    text("DistinguisherMethod", "What makes flows of its requests."),
    ageColumn,
    text("MissingPL", "Its priority level does not exist."),
  ],
  cells: (schema, now) => [
    schema.metadata.name,
    schema.spec.priorityLevelConfiguration.name,
    schema.spec.matchingPrecedence ?? 0,
    schema.spec.distinguisherMethod?.type ?? "<none>",
    ageOf(schema, now),
    schema.status?.conditions?.find(({ type }) => type === "Dangling")?.status ?? "?",
  ],
};

export const priorityLevelPrinter: Printer<PriorityLevelConfiguration> = {
  columns: [
    nameColumn,
    text("Type", "Limited or Exempt."),
    text("NominalConcurrencyShares", "Its share of the requests that run at once."),
    text("Queues", "How many queues there are."),
    text("HandSize", "How many queues a flow has."),
    text("QueueLengthLimit", "How many requests wait in a queue."),
    ageColumn,
  ],
  cells: (level, now) => {
    const { limited, type } = level.spec;
    const queuing = limited?.limitResponse?.queuing;
    return [
      level.metadata.name,
      type,
      limited?.nominalConcurrencyShares ?? "<none>",
      queuing?.queues ?? "<none>",
      queuing?.handSize ?? "<none>",
      queuing?.queueLengthLimit ?? "<none>",
      ageOf(level, now),
    ];
  },
};

export const agePrinter: Printer<DeviceClass | ResourceClaimTemplate> = {
  columns: [nameColumn, ageColumn],
  cells: (one, now) => [one.metadata.name, ageOf(one, now)],
};

export const resourceClaimPrinter: Printer<ResourceClaim> = {
  columns: [nameColumn, text("State", "Whether devices are allocated for it."), ageColumn],
  cells: (claim, now) => {
    const { allocation, reservedFor = [] } = claim.status ?? {};
    const deleted = Boolean(claim.metadata.deletionTimestamp);
    const states = [
      ...(deleted ? ["deleted"] : []),
      ...(allocation ? ["allocated", ...(reservedFor.length > 0 ? ["reserved"] : [])] : deleted ? [] : ["pending"]),
    ];
    return [claim.metadata.name, states.join(","), ageOf(claim, now)];
  },
};

export const resourceSlicePrinter: Printer<ResourceSlice> = {
  columns: [
    nameColumn,
    text("Node", "The node that has the devices."),
    text("Driver", "The driver of the devices."),
    text("Pool", "The pool that they are in."),
    ageColumn,
  ],
  cells: (slice, now) => [
    slice.metadata.name,
    slice.spec.nodeName ?? (slice.spec.allNodes ? "<all>" : "<unset>"),
    slice.spec.driver,
    slice.spec.pool.name,
    ageOf(slice, now),
  ],
};

export const apiServicePrinter: Printer<APIService> = {
  columns: [
    nameColumn,
    text("Service", "The Service that answers for the group version; Local for this server."),
    text("Available", "Whether it does."),
    ageColumn,
  ],
  cells: (one, now) => {
    const { service } = one.spec;
    const available = one.status?.conditions?.find(({ type }) => type === "Available");
    const state = available?.status ?? "Unknown";
    return [
      one.metadata.name,
      service ? `${service.namespace ?? ""}/${service.name ?? ""}` : "Local",
      state !== "True" && available?.reason ? `${state} (${available.reason})` : state,
      ageOf(one, now),
    ];
  },
};
