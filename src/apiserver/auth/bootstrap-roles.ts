import {
  aggregatedRules,
  type ClusterRole,
  type ClusterRoleBinding,
  type PolicyRule,
  type Role,
  type RoleBinding,
} from "../../kube/index.ts";
import { controllerRoles } from "./controller-roles.ts";
import { namespaceRoles, type NamespaceRole } from "./namespace-roles.ts";
import {
  events,
  groupSubject,
  paths,
  rbacGroup,
  read,
  readUpdate,
  readWrite,
  accountSubject,
  rule,
  userSubject,
  write,
  type Given,
} from "./rule-table.ts";

/** Annotation of roles and bindings that are completed at each start. */
export const autoUpdate = "rbac.authorization.kubernetes.io/autoupdate";

const certificates = "certificates.k8s.io";
const authentication = "authentication.k8s.io";
const authorization = "authorization.k8s.io";

/** What anybody may see inside a namespace, Secrets apart. */
const viewable: PolicyRule[] = [
  rule(
    read,
    "-",
    "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status",
  ),
  rule(
    read,
    "-",
    "bindings limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas resourcequotas/status",
  ),
  rule(read, "-", "namespaces"),
  rule(read, "- events.k8s.io", "events"),
  rule(read, "discovery.k8s.io", "endpointslices"),
  rule(
    read,
    "apps",
    "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
  ),
  rule(read, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
  rule(read, "batch", "cronjobs cronjobs/status jobs jobs/status"),
  rule(
    read,
    "extensions",
    "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale",
  ),
  rule(read, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
  rule(read, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
  rule(read, "resource.k8s.io", "resourceclaims resourceclaims/status resourceclaimtemplates"),
];

const editable: PolicyRule[] = [
  rule(read, "-", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
  rule("impersonate", "-", "serviceaccounts"),
  rule(write, "-", "pods pods/attach pods/exec pods/portforward pods/proxy"),
  rule("create", "-", "pods/eviction"),
  rule(
    write,
    "-",
    "configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy",
  ),
  rule("create", "-", "serviceaccounts/token"),
  rule(write, "- events.k8s.io", "events"),
  rule(
    write,
    "apps",
    "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale",
  ),
  rule(write, "autoscaling", "horizontalpodautoscalers"),
  rule(write, "batch", "cronjobs jobs"),
  rule(
    write,
    "extensions",
    "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets replicasets/scale replicationcontrollers/scale",
  ),
  rule(write, "policy", "poddisruptionbudgets"),
  rule(write, "networking.k8s.io", "ingresses networkpolicies"),
  rule(readWrite, "coordination.k8s.io", "leases"),
  rule(write, "resource.k8s.io", "resourceclaims resourceclaimtemplates"),
];

const administrable: PolicyRule[] = [
  rule("create", authorization, "localsubjectaccessreviews"),
  rule(readWrite, rbacGroup, "rolebindings roles"),
];

/** What a node may do as far as it is no matter of its own pods; the node authorizer allows the rest only for those. */
export const nodeRules: readonly PolicyRule[] = [
  rule("create", authentication, "tokenreviews"),
  rule("create", authorization, "localsubjectaccessreviews subjectaccessreviews"),
  rule(read, "-", "services"),
  rule("create get list watch", "-", "nodes"),
  rule("patch update", "-", "nodes/status"),
  rule("patch update", "-", "nodes"),
  rule("create patch update", "- events.k8s.io", "events"),
  rule(read, "-", "pods"),
  rule("create delete", "-", "pods"),
  rule("patch update", "-", "pods/status"),
  rule("create", "-", "pods/eviction"),
  rule(read, "-", "configmaps secrets"),
  rule("get", "-", "persistentvolumeclaims persistentvolumes"),
  rule("get", "-", "endpoints"),
  rule("create get list watch", certificates, "certificatesigningrequests"),
  rule("create delete get patch update", "coordination.k8s.io", "leases"),
  rule("get", "storage.k8s.io", "volumeattachments"),
  rule("create", "-", "serviceaccounts/token"),
  rule("get patch update", "-", "persistentvolumeclaims/status"),
  rule(read, "storage.k8s.io", "csidrivers"),
  rule("create delete get patch update", "storage.k8s.io", "csinodes"),
  rule(read, "node.k8s.io", "runtimeclasses"),
  rule("get", "resource.k8s.io", "resourceclaims"),
  rule("deletecollection", "resource.k8s.io", "resourceslices"),
  rule("get", "-", "serviceaccounts"),
];

const proxyRules: PolicyRule[] = [
  rule("list watch", "-", "endpoints services"),
  rule(read, "-", "nodes"),
  events,
  rule("list watch", "discovery.k8s.io", "endpointslices"),
  rule("list watch", "networking.k8s.io", "servicecidrs"),
];

const schedulerRules: PolicyRule[] = [
  events,
  rule("create", "coordination.k8s.io", "leases"),
  rule("get list update watch", "coordination.k8s.io", "leases", "kube-scheduler"),
  rule(readWrite, "coordination.k8s.io", "leasecandidates"),
  rule(read, "-", "nodes"),
  rule("delete get list watch", "-", "pods"),
  rule("create", "-", "bindings pods/binding"),
  rule("patch update", "-", "pods/status"),
  rule(read, "-", "replicationcontrollers services"),
  rule(read, "apps extensions", "replicasets"),
  rule(read, "apps", "statefulsets"),
  rule(read, "policy", "poddisruptionbudgets"),
  rule(read, "-", "persistentvolumeclaims persistentvolumes"),
  rule("create", authentication, "tokenreviews"),
  rule("create", authorization, "subjectaccessreviews"),
  rule(read, "storage.k8s.io", "csinodes"),
  rule(read, "storage.k8s.io", "volumeattachments"),
  rule(read, "-", "namespaces"),
  rule(read, "storage.k8s.io", "csidrivers"),
  rule(read, "storage.k8s.io", "csistoragecapacities"),
  rule(read, "resource.k8s.io", "deviceclasses"),
  rule(readUpdate, "resource.k8s.io", "resourceclaims"),
  rule(readUpdate, "resource.k8s.io", "resourceclaims/status"),
  rule("update", "-", "pods/finalizers"),
  rule(read, "resource.k8s.io", "resourceslices"),
];

const controllerManagerRules: PolicyRule[] = [
  events,
  rule("create", "coordination.k8s.io", "leases"),
  rule("get list update watch", "coordination.k8s.io", "leases", "kube-controller-manager"),
  rule(readWrite, "coordination.k8s.io", "leasecandidates"),
  rule("create", "-", "secrets serviceaccounts"),
  rule("delete", "-", "secrets"),
  rule("get", "-", "configmaps namespaces secrets serviceaccounts"),
  rule("update", "-", "secrets serviceaccounts"),
  rule("create", authentication, "tokenreviews"),
  rule("create", authorization, "subjectaccessreviews"),
  rule("list watch", "*", "*"),
  rule("create", "-", "serviceaccounts/token"),
];

/**
 * The embedded controllers, which share one identity: they make and remove what they own in every namespace (garbage collection,
 * namespace deletion).
 */
const embeddedControllerRules: PolicyRule[] = [
  rule(readWrite, "*", "*"),
  rule("patch update", "*", "*/finalize */scale */status certificatesigningrequests/approval"),
  // Aggregated roles hold more than this one.
  rule("escalate", rbacGroup, "clusterroles"),
  rule("approve sign", certificates, "signers"),
];

const signers: readonly (readonly [string, string])[] = [
  ["legacy-unknown-approver", "legacy-unknown"],
  ["kubelet-serving-approver", "kubelet-serving"],
  ["kube-apiserver-client-approver", "kube-apiserver-client"],
  ["kube-apiserver-client-kubelet-approver", "kube-apiserver-client-kubelet"],
];

const toLabel = (name: string): string => `${rbacGroup}/aggregate-to-${name}`;
const yes = (name: string): Record<string, string> => ({ [toLabel(name)]: "true" });
const everyone = groupSubject("system:authenticated");
const controllerManager = userSubject("system:kube-controller-manager");
const scheduler = userSubject("system:kube-scheduler");

const given: readonly Given[] = [
  {
    name: "cluster-admin",
    rules: [rule("*", "*", "*"), { verbs: ["*"], nonResourceURLs: ["*"] }],
    to: [groupSubject("system:masters")],
  },
  { name: "admin", aggregates: toLabel("admin") },
  { name: "edit", aggregates: toLabel("edit"), labels: yes("admin") },
  { name: "view", aggregates: toLabel("view"), labels: yes("edit") },
  { name: "system:aggregate-to-admin", rules: administrable, labels: yes("admin") },
  { name: "system:aggregate-to-edit", rules: editable, labels: yes("edit") },
  { name: "system:aggregate-to-view", rules: viewable, labels: yes("view") },
  {
    name: "system:discovery",
    rules: [paths("/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/")],
    to: [everyone],
  },
  {
    name: "system:basic-user",
    rules: [
      rule("create", authorization, "selfsubjectaccessreviews selfsubjectrulesreviews"),
      rule("create", authentication, "selfsubjectreviews"),
    ],
    to: [everyone],
  },
  {
    name: "system:public-info-viewer",
    rules: [paths("/healthz /livez /readyz /version /version/")],
    to: [everyone, groupSubject("system:unauthenticated")],
  },
  {
    name: "system:monitoring",
    rules: [
      paths("/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*"),
      rule("get", "-", "nodes/metrics"),
    ],
    to: [groupSubject("system:monitoring")],
  },
  {
    name: "system:service-account-issuer-discovery",
    rules: [
      paths("/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/"),
    ],
    to: [groupSubject("system:serviceaccounts")],
  },
  {
    name: "system:heapster",
    rules: [rule(read, "-", "events namespaces nodes pods"), rule(read, "extensions", "deployments")],
  },
  { name: "system:node", rules: nodeRules, to: [] },
  {
    name: "system:node-problem-detector",
    rules: [rule("get", "-", "nodes"), rule("patch", "-", "nodes/status"), events],
  },
  { name: "system:node-proxier", rules: proxyRules, to: [userSubject("system:kube-proxy")] },
  {
    name: "system:kubelet-api-admin",
    rules: [
      rule(read, "-", "nodes"),
      rule("proxy", "-", "nodes"),
      rule("*", "-", "nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/stats"),
    ],
  },
  {
    name: "system:node-bootstrapper",
    rules: [rule("create get list watch", certificates, "certificatesigningrequests")],
    to: [groupSubject("system:bootstrappers")],
    binding: "system:fairlead:kubelet-bootstrap",
  },
  {
    name: "system:auth-delegator",
    rules: [rule("create", authentication, "tokenreviews"), rule("create", authorization, "subjectaccessreviews")],
  },
  { name: "system:kube-aggregator", rules: [rule(read, "-", "endpoints services")] },
  { name: "system:kube-controller-manager", rules: controllerManagerRules, to: [controllerManager] },
  { name: "system:fairlead:controllers", rules: embeddedControllerRules, to: [controllerManager] },
  {
    name: "system:fairlead:local-path-provisioner",
    rules: [
      rule(readWrite, "-", "persistentvolumes"),
      rule(read, "-", "nodes persistentvolumeclaims"),
      rule(`create ${read}`, "storage.k8s.io", "storageclasses"),
      events,
    ],
    to: [userSubject("system:fairlead:local-path-provisioner")],
  },
  { name: "system:kube-scheduler", rules: schedulerRules, to: [scheduler] },
  {
    name: "system:kube-dns",
    rules: [rule("list watch", "-", "endpoints services")],
    to: [accountSubject("kube-dns")],
  },
  {
    name: "system:persistent-volume-provisioner",
    rules: [
      rule("create delete get list watch", "-", "persistentvolumes"),
      rule("get list update watch", "-", "persistentvolumeclaims"),
      rule(read, "storage.k8s.io", "storageclasses"),
      rule("watch", "-", "events"),
      events,
    ],
  },
  {
    name: "system:volume-scheduler",
    rules: [
      rule(readUpdate, "-", "persistentvolumes"),
      rule(read, "storage.k8s.io", "storageclasses"),
      rule(readUpdate, "-", "persistentvolumeclaims"),
    ],
    to: [scheduler],
  },
  {
    name: "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
    rules: [rule("create", certificates, "certificatesigningrequests/nodeclient")],
    to: [groupSubject("system:bootstrappers")],
    binding: "system:fairlead:node-autoapprove-bootstrap",
  },
  {
    name: "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
    rules: [rule("create", certificates, "certificatesigningrequests/selfnodeclient")],
    to: [groupSubject("system:nodes")],
    binding: "system:fairlead:node-autoapprove-certificate-rotation",
  },
  ...signers.map(([name, signer]) => ({
    name: `system:certificates.k8s.io:${name}`,
    rules: [rule("approve", certificates, "signers", `kubernetes.io/${signer}`)],
  })),
  ...controllerRoles,
];

export interface BootstrapRoles {
  readonly roles: readonly ClusterRole[];
  readonly bindings: readonly ClusterRoleBinding[];
  readonly namespaced: { readonly roles: readonly Role[]; readonly bindings: readonly RoleBinding[] };
}

/** The roles and bindings that every cluster has, written at the start when they are missing. */
export function bootstrapRoles(): BootstrapRoles {
  const metadata = (name: string, labels: Readonly<Record<string, string>> = {}): ClusterRole["metadata"] => ({
    name,
    labels: { "kubernetes.io/bootstrapping": "rbac-defaults", ...labels },
    annotations: { [autoUpdate]: "true" },
  });
  const apiVersion = `${rbacGroup}/v1`;
  const roles = given.map(({ name, rules, aggregates, labels }): ClusterRole => ({
    apiVersion,
    kind: "ClusterRole",
    metadata: metadata(name, labels),
    ...(aggregates ? { aggregationRule: { clusterRoleSelectors: [{ matchLabels: { [aggregates]: "true" } }] } } : {}),
    rules: [...(rules ?? [])],
  }));
  // From the least to the most: each takes in the one before.
  for (const role of roles.toReversed()) if (role.aggregationRule) role.rules = aggregatedRules(role, roles);
  const bindings = given.flatMap(({ name, to, binding = name }): ClusterRoleBinding[] =>
    to
      ? [
          {
            apiVersion,
            kind: "ClusterRoleBinding",
            metadata: metadata(binding),
            roleRef: { apiGroup: rbacGroup, kind: "ClusterRole", name },
            ...(to.length > 0 ? { subjects: [...to] } : {}),
          },
        ]
      : [],
  );
  const within = ({ name, namespace, rules }: NamespaceRole): Role => ({
    apiVersion,
    kind: "Role",
    metadata: { ...metadata(name), namespace },
    rules: [...rules],
  });
  const boundWithin = ({ name, namespace, to, binding = name }: NamespaceRole): RoleBinding => ({
    apiVersion,
    kind: "RoleBinding",
    metadata: { ...metadata(binding), namespace },
    roleRef: { apiGroup: rbacGroup, kind: "Role", name },
    subjects: [...to],
  });
  return {
    roles,
    bindings,
    namespaced: {
      roles: namespaceRoles.map(within),
      bindings: namespaceRoles.filter(({ to }) => to.length > 0).map(boundWithin),
    },
  };
}
