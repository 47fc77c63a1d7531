import { describe, expect, it } from "vitest";
import { invalid } from "./field-error.ts";
import type { EndpointSlice, Namespace, Node, Secret } from "./generated/types.ts";
import type { KubeObject } from "./object.ts";
import { resources, type Resource } from "./resource.ts";
import { strategyFor } from "./strategies.ts";
import { create, update } from "./testing.ts";
import { fault } from "./validation/fault.ts";

const pod = { containers: [{ name: "web", image: "nginx" }] };
const labels = { app: "web" };
const workload = { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: pod } };
/** A request for a certificate of `CN=x`, in PEM. */
const certificateRequest =
  "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlISE1HNENBUUF3RERFS01BZ0dBMVVFQXd3QmVEQlpNQk1HQnlxR1NNNDlBZ0VHQ0NxR1NNNDlBd0VIQTBJQQpCSjFKL0V4OFVGYU1qUzYzK3dpbFJnZkJ6bXpLM3B0U1hRNFRoWmthNXhrMGs3cFhFUWVaWUV2MUZ3NlE5eHk5CmpUNk9obGsxaGZUMXFsbHJJcWdTaGxHZ0FEQUtCZ2dxaGtqT1BRUURBZ05KQURCR0FpRUF2Q1picEZtUjFTaDYKRWZQcFk3UU9TL1NmL09teHJtZWVJRWFXZ0F4ZDlwOENJUURWeVZzOWR4TktsbWpsZFgzSXoxcGdWemwxQlFEVwptUm1aSXFxRy9rMEh6Zz09Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=";
const matchConstraints = {
  resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] }],
};
const smallest: Partial<Record<string, object>> = {
  Pod: { spec: pod },
  Service: { spec: { ports: [{ port: 80 }] } },
  Deployment: { spec: workload },
  ReplicaSet: { spec: workload },
  StatefulSet: { spec: workload },
  DaemonSet: { spec: workload },
  ReplicationController: { spec: { template: workload.template } },
  PodTemplate: { template: { spec: pod } },
  ControllerRevision: { data: {} },
  Job: { metadata: { uid: "u", labels }, spec: { template: { spec: { ...pod, restartPolicy: "Never" } } } },
  CronJob: {
    spec: { schedule: "@daily", jobTemplate: { spec: { template: { spec: { ...pod, restartPolicy: "Never" } } } } },
  },
  PersistentVolume: {
    spec: { accessModes: ["ReadWriteOnce"], capacity: { storage: "1Gi" }, hostPath: { path: "/data" } },
  },
  HorizontalPodAutoscaler: {
    spec: { maxReplicas: 1, scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" } },
  },
  ServiceCIDR: { spec: { cidrs: ["10.0.0.0/16"] } },
  IPAddress: { metadata: { name: "10.0.0.1" }, spec: { parentRef: { resource: "services", name: "web" } } },
  StorageClass: { provisioner: "example.com/disk" },
  VolumeAttributesClass: { driverName: "example.com", parameters: { a: "b" } },
  CSIStorageCapacity: { storageClassName: "fast" },
  VolumeAttachment: { spec: { attacher: "example.com", nodeName: "n", source: { persistentVolumeName: "v" } } },
  FlowSchema: { spec: { priorityLevelConfiguration: { name: "global-default" } } },
  PriorityLevelConfiguration: { spec: { type: "Limited", limited: { limitResponse: { type: "Reject" } } } },
  ValidatingAdmissionPolicy: { spec: { matchConstraints, validations: [{ expression: "true" }] } },
  ValidatingAdmissionPolicyBinding: { spec: { policyName: "p", validationActions: ["Deny"] } },
  MutatingAdmissionPolicy: {
    spec: {
      matchConstraints,
      reinvocationPolicy: "Never",
      mutations: [{ patchType: "JSONPatch", jsonPatch: { expression: "[]" } }],
    },
  },
  MutatingAdmissionPolicyBinding: { spec: { policyName: "p" } },
  RuntimeClass: { handler: "runc" },
  CertificateSigningRequest: {
    spec: { request: certificateRequest, usages: ["client auth"], signerName: "example.com/signer" },
  },
  PersistentVolumeClaim: { spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } } },
  EndpointSlice: { addressType: "IPv4" },
  Ingress: { spec: { defaultBackend: { service: { name: "web", port: { number: 80 } } } } },
  IngressClass: { spec: { controller: "example.com/ingress" } },
  RoleBinding: { roleRef: { kind: "Role", name: "r" } },
  ClusterRoleBinding: { roleRef: { kind: "ClusterRole", name: "r" } },
  Event: { involvedObject: { namespace: "default" } },
  APIService: {
    metadata: { name: "v1.acme.io" },
    spec: { group: "acme.io", version: "v1", groupPriorityMinimum: 1, versionPriority: 1 },
  },
  CustomResourceDefinition: {
    metadata: { name: "widgets.acme.io" },
    spec: {
      group: "acme.io",
      scope: "Cluster",
      names: { plural: "widgets", kind: "Widget" },
      versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object" } } }],
    },
  },
};
const all: [string, Resource][] = Object.entries(resources);

describe.each(all)("%s", (kind, resource) => {
  const { object, faults } = create(resource, smallest[kind] ?? {});

  it("has no faults when it is the smallest good one", () => {
    expect(faults).toEqual([]);
  });

  it("comes out of an update that changes nothing as it went in", () => {
    const again = update(resource, object, () => {});
    expect(again.faults).toEqual([]);
    expect(again.object).toEqual(object);
  });

  it("cannot be renamed or given bad labels", () => {
    const changed = update(resource, object, (draft: KubeObject) => {
      draft.metadata.name = "y";
      draft.metadata.labels = { "-": "a" };
    });
    const [label, name] = changed.faults;
    expect(name).toBe('metadata.name: Invalid value: "y": field is immutable');
    expect(label).toMatch(/^metadata\.labels: Invalid value: "-": name part must consist of/);
  });

  it("names its selectable fields even of an empty object", () => {
    const strategy = strategyFor(resource);
    const fields = strategy.selectableFields({ apiVersion: "", kind, metadata: { name: "" } });
    for (const value of Object.values(fields)) expect(typeof value).toBe("string");
  });
});

describe("metadata", () => {
  const qualified =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
  const owner = { apiVersion: "v1", kind: "Pod", name: "p", uid: "u" };
  it.each<[object, string]>([
    [
      { name: "A_b" },
      "metadata.name: Invalid value: \"A_b\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    ],
    [
      { labels: { "a/b/c": "x" } },
      `metadata.labels: Invalid value: "a/b/c": a valid label key ${qualified} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ],
    [
      { labels: { a: "x".repeat(64) } },
      `metadata.labels: Invalid value: "${"x".repeat(64)}": must be no more than 63 bytes`,
    ],
    [{ annotations: { "": "x" } }, 'metadata.annotations: Invalid value: "": name part must be non-empty'],
    [{ annotations: { a: "x".repeat(262_144) } }, "metadata.annotations: Too long: may not be more than 262144 bytes"],
    [
      { finalizers: ["mine"] },
      'metadata.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified',
    ],
    [
      { ownerReferences: [{ ...owner, uid: "" }] },
      'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
    ],
    [
      {
        ownerReferences: [
          { ...owner, controller: true },
          { ...owner, name: "q", controller: true },
        ],
      },
      `metadata.ownerReferences: Invalid value: ${JSON.stringify([
        { ...owner, controller: true },
        { ...owner, name: "q", controller: true },
      ])}: Only one reference can have Controller set to true. Found "true" in references for Pod/p and Pod/q`,
    ],
    [
      { namespace: "A" },
      "metadata.namespace: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    ],
  ])("%#", (metadata, expected) => {
    expect(create(resources.ConfigMap, { metadata }).faults[0]).toBe(expected);
  });

  it("of a cluster-scoped object has no namespace", () => {
    expect(create(resources.Node, { metadata: { namespace: "a" } }).faults).toEqual([
      "metadata.namespace: Forbidden: not allowed on this type",
    ]);
  });

  it("gets no new finalizers while the object is being deleted", () => {
    const { object } = create(resources.ConfigMap, { metadata: { finalizers: ["a/x"] } });
    object.metadata.deletionTimestamp = "2030-01-01T00:00:00Z";
    const { faults } = update(resources.ConfigMap, object, (draft: KubeObject) => {
      draft.metadata.finalizers = ["b/x"];
    });
    expect([...new Set(faults)]).toEqual([
      'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"b/x"}',
    ]);
  });
});

it("an Invalid status has upstream's words, and each fault once", () => {
  const errors = [fault.required("spec.a"), fault.required("spec.a"), fault.invalid("spec.b", 7, "no")];
  const { status } = invalid({ group: "apps", kind: "Deployment" }, "web", errors);
  expect(status).toMatchObject({
    code: 422,
    reason: "Invalid",
    message: 'Deployment.apps "web" is invalid: [spec.a: Required value, spec.b: Invalid value: 7: no]',
    details: { name: "web", group: "apps", kind: "Deployment" },
  });
  expect(status.details?.causes).toHaveLength(3);
});

describe("Namespace", () => {
  const { object } = create(resources.Namespace, { metadata: { name: "shop" } });

  it("is active, labelled with its name and held by a finalizer", () => {
    expect(object).toMatchObject({
      metadata: { labels: { "kubernetes.io/metadata.name": "shop" } },
      spec: { finalizers: ["kubernetes"] },
      status: { phase: "Active" },
    });
  });

  it("loses its finalizer through the subresource only", () => {
    const drop = (draft: Namespace) => {
      draft.spec.finalizers = [];
    };
    expect((update(resources.Namespace, object, drop).object as Namespace).spec.finalizers).toEqual(["kubernetes"]);
    const finalized = update(resources.Namespace, object, drop, { subresource: "finalize" });
    expect((finalized.object as Namespace).spec.finalizers).toBeUndefined();
  });

  it("is Terminating only when it is being deleted", () => {
    const { faults } = update(
      resources.Namespace,
      object,
      (draft: Namespace) => {
        draft.status = { phase: "Terminating" };
      },
      { subresource: "status" },
    );
    expect(faults).toEqual([
      "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty",
    ]);
  });
});

describe("Secret", () => {
  const secret = (value: object) => create(resources.Secret, value);

  it("takes plain text and stores it as data", () => {
    const { object } = secret({ stringData: { a: "hello" }, data: { a: "eA==", b: "eQ==" } });
    expect(object).toMatchObject({ type: "Opaque", data: { a: "aGVsbG8=", b: "eQ==" } });
    expect(object).not.toHaveProperty("stringData");
  });

  it.each<[object, ...string[]]>([
    [{ type: "kubernetes.io/tls" }, "data[tls.crt]: Required value", "data[tls.key]: Required value"],
    [{ type: "kubernetes.io/dockerconfigjson" }, "data[.dockerconfigjson]: Required value"],
    [{ type: "kubernetes.io/basic-auth" }, "data[username]: Required value", "data[password]: Required value"],
    [{ type: "kubernetes.io/ssh-auth" }, "data[ssh-privatekey]: Required value"],
    [
      { type: "kubernetes.io/service-account-token" },
      "metadata.annotations[kubernetes.io/service-account.name]: Required value",
    ],
    [{ stringData: { a: "x".repeat(1_048_577) } }, "data: Too long: may not be more than 1048576 bytes"],
    [
      { data: { "a b": "" } },
      "data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
    ],
  ])("%#", (value, ...expected) => {
    expect(secret(value).faults).toEqual(expected);
  });

  it("never shows what it holds", () => {
    const { faults } = secret({
      type: "kubernetes.io/dockerconfigjson",
      stringData: { ".dockerconfigjson": "hunter2" },
    });
    expect(faults[0]).toMatch(/^data\[\.dockerconfigjson\]: Invalid value: "<secret contents redacted>": /);
    expect(faults[0]).not.toContain("hunter2");
  });

  it("keeps its type, and its data once it is immutable", () => {
    const { object } = secret({ stringData: { a: "x" }, immutable: true });
    const { faults } = update(resources.Secret, object, (draft: Secret) => {
      draft.type = "example.com/other";
      draft.data = {};
      delete draft.immutable;
    });
    expect(faults).toEqual([
      'type: Invalid value: "example.com/other": field is immutable',
      "immutable: Forbidden: field is immutable when `immutable` is set",
      "data: Forbidden: field is immutable when `immutable` is set",
    ]);
  });
});

describe("ConfigMap", () => {
  it.each<[object, string]>([
    [
      { data: { a: "x" }, binaryData: { a: "eA==" } },
      'data[a]: Invalid value: "a": duplicate of key present in binaryData',
    ],
    [{ data: { a: "x".repeat(1_048_577) } }, "[]: Too long: may not be more than 1048576 bytes"],
  ])("%#", (value, expected) => {
    expect(create(resources.ConfigMap, value).faults).toEqual([expected]);
  });
});

describe("EndpointSlice", () => {
  const slice = (value: object, allowLoopback = false) =>
    create(resources.EndpointSlice, { addressType: "IPv4", ...value }, { allowLoopback });
  const at = (address: string) => ({ endpoints: [{ addresses: [address] }] });

  it.each<[object, ...string[]]>([
    [at("10.0.0.1")],
    [{ addressType: "" }, "addressType: Required value"],
    [{ addressType: "IPv5" }, 'addressType: Unsupported value: "IPv5": supported values: "FQDN", "IPv4", "IPv6"'],
    [{ endpoints: [{}] }, "endpoints[0].addresses: Required value: must contain at least 1 address"],
    [
      at("x"),
      'endpoints[0].addresses[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    ],
    [
      at("::1"),
      'endpoints[0].addresses: Invalid value: "::1": must be an IPv4 address',
      'endpoints[0].addresses[0]: Invalid value: "::1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
    ],
    [
      at("127.0.0.1"),
      'endpoints[0].addresses[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
    ],
    [
      { addressType: "IPv6", ...at("2001:DB8::1") },
      'endpoints[0].addresses[0]: Invalid value: "2001:DB8::1": must be in canonical form ("2001:db8::1")',
    ],
    [
      { addressType: "FQDN", ...at("localhost") },
      'endpoints[0].addresses[0]: Invalid value: "localhost": should be a domain with at least two segments separated by dots',
    ],
    [{ ports: [{ port: 80 }, { port: 81 }] }, 'ports[1].name: Duplicate value: ""'],
    [
      { endpoints: Array.from({ length: 1001 }, () => ({ addresses: ["10.0.0.1"] })) },
      "endpoints: Too many: 1001: must have at most 1000 items",
    ],
  ])("%#", (value, ...expected) => {
    expect(slice(value).faults).toEqual(expected);
  });

  it("may hold loopback addresses where the cluster lives on them", () => {
    expect(slice(at("127.42.0.5"), true).faults).toEqual([]);
  });

  it("raises the generation when its endpoints change", () => {
    const { object } = slice(at("10.0.0.1"));
    const changed = update(resources.EndpointSlice, object, (draft: EndpointSlice) => {
      draft.endpoints = [{ addresses: ["10.0.0.2"] }];
    });
    expect([object.metadata.generation, changed.object.metadata.generation]).toEqual([1, 2]);
  });

  it("keeps its address type", () => {
    const { object } = slice(at("10.0.0.1"));
    const { faults } = update(resources.EndpointSlice, object, (draft: EndpointSlice) => {
      draft.addressType = "IPv6";
    });
    expect(faults).toEqual(['addressType: Invalid value: "IPv6": field is immutable']);
  });
});

describe("Endpoints", () => {
  it("are still checked", () => {
    const { faults } = create(resources.Endpoints, { subsets: [{ ports: [{ port: 0 }] }] });
    expect(faults).toEqual([
      "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`",
      "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
    ]);
  });
});

describe("Node", () => {
  const node = (value: object) => create(resources.Node, value);
  it.each<[object, string]>([
    [
      { taints: [{ key: "a", effect: "Never" }] },
      'metadata.taints[0].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
    ],
    [
      {
        taints: [
          { key: "a", effect: "NoExecute" },
          { key: "a", effect: "NoExecute" },
        ],
      },
      'metadata.taints[1]: Duplicate value: {"key":"a","effect":"NoExecute"}: taints must be unique by key and effect pair',
    ],
    [
      { podCIDRs: ["10.42.0.0/24", "10.42.1.0/24"] },
      'spec.podCIDRs: Invalid value: ["10.42.0.0/24","10.42.1.0/24"]: may specify no more than one CIDR for each IP family',
    ],
  ])("%j", (spec, expected) => {
    expect(node({ spec }).faults).toEqual([expected]);
  });

  it("registers with its status, all of which pods may use", () => {
    const { object } = node({ status: { capacity: { cpu: "2" } } });
    expect((object as Node).status).toMatchObject({ capacity: { cpu: "2" }, allocatable: { cpu: "2" } });
  });

  it("keeps the block of addresses it was given", () => {
    const { object } = node({ spec: { podCIDR: "10.42.0.0/24" } });
    expect((object as Node).spec.podCIDRs).toEqual(["10.42.0.0/24"]);
    const { faults } = update(resources.Node, object, (draft: Node) => {
      draft.spec.podCIDR = "10.42.1.0/24";
      draft.spec.podCIDRs = ["10.42.1.0/24"];
    });
    expect(faults).toEqual(['spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid']);
  });
});

describe("RBAC", () => {
  const group = "rbac.authorization.k8s.io";
  it.each<[Resource, object, ...string[]]>([
    [
      resources.Role,
      { rules: [{ apiGroups: [""], resources: ["pods"] }] },
      "rules[0].verbs: Required value: verbs must contain at least one value",
    ],
    [
      resources.Role,
      { rules: [{ verbs: ["get"] }] },
      "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
      "rules[0].resources: Required value: resource rules must supply at least one resource",
    ],
    [
      resources.Role,
      { rules: [{ verbs: ["get"], nonResourceURLs: ["/x"] }] },
      'rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs',
    ],
    [
      resources.ClusterRole,
      { aggregationRule: {} },
      "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil",
    ],
    [
      resources.ClusterRoleBinding,
      { roleRef: { kind: "Role", name: "r" } },
      'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
    ],
    [resources.RoleBinding, { roleRef: { kind: "Role" } }, "roleRef.name: Required value"],
    [
      resources.ClusterRoleBinding,
      { roleRef: { kind: "ClusterRole", name: "r" }, subjects: [{ kind: "ServiceAccount", name: "s" }] },
      "subjects[0].namespace: Required value",
    ],
    [
      resources.RoleBinding,
      { roleRef: { kind: "Role", name: "r" }, subjects: [{ kind: "Robot", name: "s" }] },
      'subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"',
    ],
  ])("%#", (resource, value, ...expected) => {
    expect(create(resource, value).faults).toEqual(expected);
  });

  it("a binding keeps its role", () => {
    const { object } = create(resources.RoleBinding, { roleRef: { kind: "Role", name: "r" } });
    const { faults } = update(resources.RoleBinding, object, (draft: { roleRef: { name: string } }) => {
      draft.roleRef.name = "other";
    });
    expect(faults).toEqual([
      `roleRef: Invalid value: {"APIGroup":"${group}","Kind":"Role","Name":"other"}: cannot change roleRef`,
    ]);
  });
});

describe("Event", () => {
  it.each<[object, ...string[]]>([
    [
      { involvedObject: { namespace: "other" } },
      'involvedObject.namespace: Invalid value: "other": does not match event.namespace',
    ],
    [{ metadata: { namespace: "default" }, involvedObject: {} }],
    [
      { involvedObject: { namespace: "default" }, eventTime: "2030-01-01T00:00:00Z" },
      "reportingController: Required value",
      'reportingController: Invalid value: "": name part must be non-empty',
      expect.stringContaining('reportingController: Invalid value: "": name part must consist of'),
      "reportingInstance: Required value",
      "action: Required value",
      "reason: Required value",
    ],
  ])("%#", (value, ...expected) => {
    expect(create(resources.Event, value).faults).toEqual(expected);
  });

  it("is found by its object", () => {
    const { object } = create(resources.Event, {
      involvedObject: { kind: "Pod", namespace: "default", name: "p" },
      source: { component: "kubelet" },
    });
    expect(strategyFor(resources.Event).selectableFields(object)).toMatchObject({
      "involvedObject.kind": "Pod",
      "involvedObject.name": "p",
      source: "kubelet",
      reportingComponent: "",
    });
  });
});

describe("Lease", () => {
  it.each<[object, string]>([
    [{ leaseDurationSeconds: 0 }, "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"],
    [{ leaseTransitions: -1 }, "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0"],
  ])("%j", (spec, expected) => {
    expect(create(resources.Lease, { spec }).faults).toEqual([expected]);
  });
});
