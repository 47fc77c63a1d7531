import {
  everyone,
  everyRequestOf,
  mandatoryFlowSchemas,
  mandatoryPriorityLevels,
  type FlowSchema,
  type FlowSubject,
  type PolicyRulesWithSubjects,
  type PriorityLevelConfiguration,
  type ResourcePolicyRule,
} from "../../kube/index.ts";

/** An object with this annotation at "true" is brought back to what the server says it shall be; at "false" it is left alone. */
export const autoUpdateSpec = "apf.kubernetes.io/autoupdate-spec";

const apiVersion = "flowcontrol.apiserver.k8s.io/v1";
const metadataOf = (name: string) => ({ name, annotations: { [autoUpdateSpec]: "true" } });

function queued(
  name: string,
  shares: number,
  lendablePercent: number,
  queues: number,
  handSize: number,
): PriorityLevelConfiguration {
  return {
    apiVersion,
    kind: "PriorityLevelConfiguration",
    metadata: metadataOf(name),
    spec: {
      type: "Limited",
      limited: {
        nominalConcurrencyShares: shares,
        lendablePercent,
        limitResponse: { type: "Queue", queuing: { queues, handSize, queueLengthLimit: 50 } },
      },
    },
  };
}

/** The levels that every cluster has: upstream's mandatory and suggested ones. */
export const bootstrapLevels: readonly PriorityLevelConfiguration[] = [
  {
    apiVersion,
    kind: "PriorityLevelConfiguration",
    metadata: metadataOf("exempt"),
    spec: mandatoryPriorityLevels.exempt,
  },
  {
    apiVersion,
    kind: "PriorityLevelConfiguration",
    metadata: metadataOf("catch-all"),
    spec: mandatoryPriorityLevels["catch-all"],
  },
  queued("system", 30, 33, 64, 6),
  queued("node-high", 40, 25, 64, 6),
  queued("leader-election", 10, 0, 16, 4),
  queued("workload-high", 40, 50, 128, 6),
  queued("workload-low", 100, 90, 128, 6),
  queued("global-default", 20, 50, 128, 6),
];

const group = (name: string): FlowSubject => ({ kind: "Group", group: { name } });
const user = (name: string): FlowSubject => ({ kind: "User", user: { name } });
const account = (name: string): FlowSubject => ({
  kind: "ServiceAccount",
  serviceAccount: { namespace: "kube-system", name },
});
const manager = user("system:kube-controller-manager");

/** Namespaced requests in every namespace. */
const within = (verbs: string[], apiGroup: string, resources: string[]): ResourcePolicyRule => ({
  verbs,
  apiGroups: [apiGroup],
  resources,
  namespaces: ["*"],
});

function schema(
  name: string,
  level: string,
  matchingPrecedence: number,
  distinguisher: "ByUser" | "ByNamespace" | undefined,
  rule: PolicyRulesWithSubjects,
): FlowSchema {
  return {
    apiVersion,
    kind: "FlowSchema",
    metadata: metadataOf(name),
    spec: {
      priorityLevelConfiguration: { name: level },
      matchingPrecedence,
      ...(distinguisher ? { distinguisherMethod: { type: distinguisher } } : {}),
      rules: [rule],
    },
  };
}

const leases = within(["get", "create", "update"], "coordination.k8s.io", ["leases"]);

/** The schemas that every cluster has: upstream's mandatory and suggested ones. */
export const bootstrapSchemas: readonly FlowSchema[] = [
  { apiVersion, kind: "FlowSchema", metadata: metadataOf("exempt"), spec: mandatoryFlowSchemas.exempt },
  schema("probes", "exempt", 2, undefined, {
    subjects: everyone,
    nonResourceRules: [{ verbs: ["get"], nonResourceURLs: ["/healthz", "/readyz", "/livez"] }],
  }),
  schema("system-leader-election", "leader-election", 100, "ByUser", {
    subjects: [manager, user("system:kube-scheduler"), account("*")],
    resourceRules: [leases],
  }),
  schema("endpoint-controller", "workload-high", 150, "ByUser", {
    subjects: [manager, account("endpoint-controller"), account("endpointslicemirroring-controller")],
    resourceRules: [within(["get", "create", "update"], "", ["endpoints"])],
  }),
  schema("workload-leader-election", "leader-election", 200, "ByUser", {
    subjects: [account("*")],
    resourceRules: [leases],
  }),
  schema("system-node-high", "node-high", 400, "ByUser", {
    subjects: [group("system:nodes")],
    resourceRules: [
      { ...within(["*"], "", ["nodes", "nodes/status"]), clusterScope: true },
      within(["*"], "coordination.k8s.io", ["leases"]),
    ],
  }),
  schema("system-nodes", "system", 500, "ByUser", everyRequestOf([group("system:nodes")])),
  schema("kube-controller-manager", "workload-high", 800, "ByNamespace", everyRequestOf([manager])),
  schema("kube-scheduler", "workload-high", 800, "ByNamespace", everyRequestOf([user("system:kube-scheduler")])),
  schema("kube-system-service-accounts", "workload-high", 900, "ByNamespace", everyRequestOf([account("*")])),
  schema("service-accounts", "workload-low", 9000, "ByUser", everyRequestOf([group("system:serviceaccounts")])),
  schema("global-default", "global-default", 9900, "ByUser", everyRequestOf(everyone)),
  { apiVersion, kind: "FlowSchema", metadata: metadataOf("catch-all"), spec: mandatoryFlowSchemas["catch-all"] },
];

/** What a cluster can not be without: it comes back when it is deleted, and is what it shall be whatever is written to it. */
export const mandatory: ReadonlySet<string> = new Set(["exempt", "catch-all"]);
