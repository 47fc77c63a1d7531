import {
  aggregatedRules,
  type ClusterRole,
  type ClusterRoleBinding,
  type PolicyRule,
  type Subject,
} from "../../kube/index.ts";

const group = "rbac.authorization.k8s.io";
/** Annotation of roles that are completed at each start. */
export const autoUpdate = `${group}/autoupdate`;
const read = ["get", "list", "watch"];
const write = ["create", "delete", "deletecollection", "patch", "update"];
const readWrite = [...read, ...write];

function rule(verbs: string[], apiGroups: string[], resources: string[], resourceNames?: string[]): PolicyRule {
  return { verbs, apiGroups, resources, ...(resourceNames ? { resourceNames } : {}) };
}

const paths = (...nonResourceURLs: string[]): PolicyRule => ({ verbs: ["get"], nonResourceURLs });

const events = rule(["create", "patch", "update"], ["", "events.k8s.io"], ["events"]);

/** What anybody may see inside a namespace, Secrets apart. */
const viewable: PolicyRule[] = [
  rule(
    read,
    [""],
    [
      "configmaps",
      "endpoints",
      "events",
      "namespaces",
      "namespaces/status",
      "pods",
      "pods/log",
      "pods/status",
      "serviceaccounts",
      "services",
      "services/status",
    ],
  ),
  rule(
    read,
    ["apps"],
    [
      "deployments",
      "deployments/scale",
      "deployments/status",
      "replicasets",
      "replicasets/scale",
      "replicasets/status",
    ],
  ),
  rule(read, ["discovery.k8s.io"], ["endpointslices"]),
  rule(read, ["networking.k8s.io"], ["ingresses", "ingresses/status"]),
  rule(read, ["events.k8s.io"], ["events"]),
];

const editable: PolicyRule[] = [
  rule(readWrite, [""], ["secrets"]),
  rule(write, [""], ["configmaps", "endpoints", "events", "pods", "serviceaccounts", "services"]),
  rule(["create"], [""], ["pods/eviction"]),
  rule(write, ["apps"], ["deployments", "deployments/scale", "replicasets", "replicasets/scale"]),
  rule(write, ["discovery.k8s.io"], ["endpointslices"]),
  rule(write, ["networking.k8s.io"], ["ingresses"]),
  rule(readWrite, ["coordination.k8s.io"], ["leases"]),
];

const administrable: PolicyRule[] = [
  rule(["create"], ["authorization.k8s.io"], ["localsubjectaccessreviews"]),
  rule(readWrite, [group], ["rolebindings", "roles"]),
];

const kubeletRules: PolicyRule[] = [
  rule(["create"], ["authentication.k8s.io"], ["tokenreviews"]),
  rule(["create"], ["authorization.k8s.io"], ["localsubjectaccessreviews", "subjectaccessreviews"]),
  rule(read, [""], ["configmaps", "namespaces", "secrets", "serviceaccounts", "services"]),
  rule(["create", ...read], [""], ["nodes"]),
  rule(["patch", "update"], [""], ["nodes", "nodes/status"]),
  rule(["create", "delete", ...read], [""], ["pods"]),
  rule(["patch", "update"], [""], ["pods/status"]),
  rule(["create"], [""], ["pods/eviction"]),
  rule(read, [""], ["endpoints"]),
  rule(read, ["discovery.k8s.io"], ["endpointslices"]),
  rule(["create", "delete", "get", "patch", "update"], ["coordination.k8s.io"], ["leases"]),
  events,
];

const proxyRules: PolicyRule[] = [
  rule(["list", "watch"], [""], ["endpoints", "services"]),
  rule(read, [""], ["nodes"]),
  rule(["list", "watch"], ["discovery.k8s.io"], ["endpointslices"]),
  events,
];

const schedulerRules: PolicyRule[] = [
  rule(read, [""], ["namespaces", "nodes", "services"]),
  rule(["delete", ...read], [""], ["pods"]),
  rule(["create"], [""], ["bindings", "pods/binding"]),
  rule(["patch", "update"], [""], ["pods/status"]),
  rule(read, ["apps"], ["replicasets"]),
  rule(["create", ...read, "update"], ["coordination.k8s.io"], ["leases"]),
  events,
];

/** The embedded controllers: they make and remove what they own in every namespace (garbage collection, namespace deletion). */
const controllerRules: PolicyRule[] = [
  rule(readWrite, ["*"], ["*"]),
  rule(["update", "patch"], ["*"], ["*/status", "*/scale", "*/finalize"]),
  // Aggregated roles hold more than this one.
  rule(["escalate"], [group], ["clusterroles"]),
];

interface Given {
  readonly name: string;
  readonly rules?: PolicyRule[];
  /** Labels of the roles whose rules this one takes in. */
  readonly aggregates?: string;
  readonly labels?: Record<string, string>;
  readonly to?: Subject[];
}

const groupSubject = (name: string): Subject => ({ apiGroup: group, kind: "Group", name });
const userSubject = (name: string): Subject => ({ apiGroup: group, kind: "User", name });
const toLabel = (name: string): string => `${group}/aggregate-to-${name}`;

const given: readonly Given[] = [
  {
    name: "cluster-admin",
    rules: [rule(["*"], ["*"], ["*"]), { verbs: ["*"], nonResourceURLs: ["*"] }],
    to: [groupSubject("system:masters")],
  },
  { name: "admin", aggregates: toLabel("admin") },
  { name: "edit", aggregates: toLabel("edit"), labels: { [toLabel("admin")]: "true" } },
  { name: "view", aggregates: toLabel("view"), labels: { [toLabel("edit")]: "true" } },
  { name: "system:aggregate-to-admin", rules: administrable, labels: { [toLabel("admin")]: "true" } },
  {
    name: "system:aggregate-to-edit",
    rules: editable,
    labels: { [toLabel("edit")]: "true", [toLabel("admin")]: "true" },
  },
  {
    name: "system:aggregate-to-view",
    rules: viewable,
    labels: { [toLabel("view")]: "true", [toLabel("edit")]: "true", [toLabel("admin")]: "true" },
  },
  {
    name: "system:discovery",
    rules: [
      paths(
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/healthz",
        "/livez",
        "/openapi",
        "/openapi/*",
        "/readyz",
        "/version",
        "/version/",
      ),
    ],
    to: [groupSubject("system:authenticated")],
  },
  {
    name: "system:basic-user",
    rules: [
      rule(["create"], ["authorization.k8s.io"], ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
      rule(["create"], ["authentication.k8s.io"], ["selfsubjectreviews"]),
    ],
    to: [groupSubject("system:authenticated")],
  },
  {
    name: "system:public-info-viewer",
    rules: [paths("/healthz", "/livez", "/readyz", "/version", "/version/")],
    to: [groupSubject("system:authenticated"), groupSubject("system:unauthenticated")],
  },
  {
    name: "system:monitoring",
    rules: [paths("/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/readyz", "/readyz/*")],
    to: [groupSubject("system:monitoring")],
  },
  { name: "system:node", rules: kubeletRules, to: [groupSubject("system:nodes")] },
  {
    name: "system:node-proxier",
    rules: proxyRules,
    to: [userSubject("system:kube-proxy"), groupSubject("system:nodes")],
  },
  { name: "system:kube-scheduler", rules: schedulerRules, to: [userSubject("system:kube-scheduler")] },
  {
    name: "system:kube-controller-manager",
    rules: controllerRules,
    to: [userSubject("system:kube-controller-manager")],
  },
  {
    name: "system:kubelet-api-admin",
    rules: [
      rule(["proxy"], [""], ["nodes"]),
      rule(["*"], [""], ["nodes/log", "nodes/metrics", "nodes/proxy", "nodes/stats"]),
    ],
  },
];

/** The ClusterRoles and bindings that every cluster has, written at the start when they are missing. */
export function bootstrapRoles(): { roles: ClusterRole[]; bindings: ClusterRoleBinding[] } {
  const metadata = (name: string, labels: Record<string, string> = {}): ClusterRole["metadata"] => ({
    name,
    labels: { "kubernetes.io/bootstrapping": "rbac-defaults", ...labels },
    annotations: { [autoUpdate]: "true" },
  });
  const roles = given.map(({ name, rules, aggregates, labels }): ClusterRole => ({
    apiVersion: `${group}/v1`,
    kind: "ClusterRole",
    metadata: metadata(name, labels),
    ...(aggregates ? { aggregationRule: { clusterRoleSelectors: [{ matchLabels: { [aggregates]: "true" } }] } } : {}),
    rules: rules ?? [],
  }));
  // From the least to the most: each takes in the one before.
  for (const role of roles.toReversed()) if (role.aggregationRule) role.rules = aggregatedRules(role, roles);
  const bindings = given.flatMap(({ name, to }): ClusterRoleBinding[] =>
    to
      ? [
          {
            apiVersion: `${group}/v1`,
            kind: "ClusterRoleBinding",
            metadata: metadata(name),
            roleRef: { apiGroup: group, kind: "ClusterRole", name },
            subjects: to,
          },
        ]
      : [],
  );
  return { roles, bindings };
}
