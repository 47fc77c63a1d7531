/** A request that is wrong, and the answer that Kubernetes gives to it. */
export interface BadRequest {
  readonly what: string;
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  /** Sent as JSON when it is an object, else as it is. */
  readonly body?: object | string | Uint8Array;
  readonly headers?: Record<string, string>;
  /** Without a client certificate. */
  readonly anonymous?: boolean;
  readonly status: number;
  readonly reason: string;
  /** Causes that must be among those of the answer: `field` and `reason`. */
  readonly causes?: readonly (readonly [field: string, reason: string])[];
  readonly message?: RegExp;
  /** The whole answer, where it is no Status: there is no router that could say more. */
  readonly text?: string;
}

const core = "/api/v1/namespaces/bad";
const apps = "/apis/apps/v1/namespaces/bad";
const networking = "/apis/networking.k8s.io/v1/namespaces/bad";
const rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/bad";
const slices = "/apis/discovery.k8s.io/v1/namespaces/bad/endpointslices";

const object = (apiVersion: string, kind: string, name: string, rest: object = {}) => ({
  apiVersion,
  kind,
  metadata: { name, namespace: "bad" },
  ...rest,
});

const service = (spec: object, name = "svc") => object("v1", "Service", name, { spec });
const pod = (spec: object) => object("v1", "Pod", "pod", { spec });
const container = (rest: object = {}) => ({ name: "c", image: "fairlead.dev/echo", ...rest });
const podOf = (rest: object) => pod({ containers: [container(rest)] });
const template = (labels: object) => ({ metadata: { labels }, spec: { containers: [container()] } });
const deployment = (spec: object, name = "dep") => object("apps/v1", "Deployment", name, { spec });
const ingress = (spec: object) => object("networking.k8s.io/v1", "Ingress", "ing", { spec });
const backend = { service: { name: "svc", port: { number: 80 } } };
const path = (rest: object) => ({
  rules: [{ host: "a.example.test", http: { paths: [{ path: "/", pathType: "Prefix", backend, ...rest }] } }],
});
const port = { name: "http", port: 80, protocol: "TCP" };

/** What exists beforehand, and must be as it was afterwards. */
export const bystanders: readonly { readonly path: string; readonly body: { metadata: { name: string } } & object }[] =
  [
    {
      path: "/api/v1/namespaces",
      body: { apiVersion: "v1", kind: "Namespace", metadata: { name: "bad" } } as { metadata: { name: string } },
    },
    {
      path: `${core}/services`,
      body: service({ type: "NodePort", selector: { app: "base" }, ports: [{ ...port, nodePort: 30_500 }] }, "base"),
    },
    { path: `${core}/configmaps`, body: object("v1", "ConfigMap", "base", { data: { a: "1" } }) },
    { path: `${core}/configmaps`, body: object("v1", "ConfigMap", "fixed", { immutable: true, data: { a: "1" } }) },
    {
      path: `${apps}/deployments`,
      body: deployment(
        { replicas: 1, selector: { matchLabels: { app: "base" } }, template: template({ app: "base" }) },
        "base",
      ),
    },
    {
      path: `${rbac}/rolebindings`,
      body: object("rbac.authorization.k8s.io/v1", "RoleBinding", "base", {
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "view" },
        subjects: [],
      }),
    },
  ];

const json = { "content-type": "application/json" };
const jsonPatch = { "content-type": "application/json-patch+json" };
const mergePatch = { "content-type": "application/merge-patch+json" };

type Cause = readonly [field: string, reason: string];

const invalid = (what: string, where: string, body: object, ...causes: Cause[]): BadRequest => ({
  what,
  method: "POST",
  path: where,
  body,
  status: 422,
  reason: "Invalid",
  causes,
});

const badRequest = (what: string, where: string, body: object | string | Uint8Array, message?: RegExp): BadRequest => ({
  what,
  method: "POST",
  path: where,
  body,
  status: 400,
  reason: "BadRequest",
  ...(message ? { message } : {}),
});

const badService = (what: string, spec: object, ...causes: Cause[]) =>
  invalid(what, `${core}/services`, service(spec), ...causes);
const badPod = (what: string, body: object, ...causes: Cause[]) => invalid(what, `${core}/pods`, body, ...causes);
const badIngress = (what: string, spec: object, ...causes: Cause[]) =>
  invalid(what, `${networking}/ingresses`, ingress(spec), ...causes);

const firstPath = "spec.rules[0].http.paths[0]";

export const badRequests: readonly BadRequest[] = [
  // The request itself.
  { what: "unknown resource", method: "GET", path: "/api/v1/gadgets", status: 404, reason: "NotFound" },
  {
    what: "unknown group",
    method: "GET",
    path: "/apis/example.com/v1/gadgets",
    status: 404,
    reason: "",
    text: "404 page not found\n",
  },
  { what: "object that is not there", method: "GET", path: `${core}/pods/nope`, status: 404, reason: "NotFound" },
  { what: "delete of what is not there", method: "DELETE", path: `${core}/pods/nope`, status: 404, reason: "NotFound" },
  {
    what: "method that a collection lacks",
    method: "PATCH",
    path: `${core}/pods`,
    headers: mergePatch,
    body: {},
    status: 405,
    reason: "MethodNotAllowed",
  },
  {
    what: "nobody",
    method: "GET",
    path: `${core}/pods`,
    anonymous: true,
    status: 403,
    reason: "Forbidden",
    message: /system:anonymous/,
  },
  {
    what: "Accept that nothing serves",
    method: "GET",
    path: `${core}/pods`,
    headers: { accept: "text/csv" },
    status: 406,
    reason: "NotAcceptable",
  },
  {
    what: "body of another media type",
    method: "POST",
    path: `${core}/configmaps`,
    headers: { "content-type": "text/plain" },
    body: "x",
    status: 415,
    reason: "UnsupportedMediaType",
  },
  {
    what: "patch without a patch's media type",
    method: "PATCH",
    path: `${core}/configmaps/base`,
    headers: json,
    body: {},
    status: 415,
    reason: "UnsupportedMediaType",
  },
  {
    what: "label selector that is none",
    method: "GET",
    path: `${core}/pods?labelSelector=a%20in`,
    status: 400,
    reason: "BadRequest",
  },
  {
    what: "field selector on a field that has none",
    method: "GET",
    path: `${core}/pods?fieldSelector=spec.foo%3D1`,
    status: 400,
    reason: "BadRequest",
    message: /field label not supported: spec\.foo/,
  },
  {
    what: "resource version that is no number",
    method: "GET",
    path: `${core}/pods?resourceVersion=abc`,
    status: 400,
    reason: "BadRequest",
    message: /invalid resource version: resourceVersion: Invalid value: "abc"/,
  },
  {
    what: "resource version of the future",
    method: "GET",
    path: `${core}/pods?resourceVersion=999999999&resourceVersionMatch=NotOlderThan`,
    status: 504,
    reason: "Timeout",
    message: /Too large resource version/,
  },
  {
    what: "continue token that is none",
    method: "GET",
    path: `${core}/pods?limit=1&continue=zzz`,
    status: 400,
    reason: "BadRequest",
  },
  {
    what: "watch with sendInitialEvents but no resourceVersionMatch",
    method: "GET",
    path: `${core}/pods?watch=1&sendInitialEvents=true`,
    status: 422,
    reason: "Invalid",
  },

  // Bodies that cannot be read.
  badRequest("truncated JSON", `${core}/configmaps`, '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"na'),
  badRequest("no JSON at all", `${core}/configmaps`, "hello"),
  badRequest("JSON that is no object", `${core}/configmaps`, "[1,2,3]"),
  badRequest("JSON nested 100,000 deep", `${core}/configmaps`, `{"data":${"[".repeat(100_000)}${"]".repeat(100_000)}}`),
  {
    ...badRequest("body of 4 MiB", `${core}/configmaps`, `{"x":"${"a".repeat(4 << 20)}"}`),
    status: 413,
    reason: "RequestEntityTooLarge",
  },
  badRequest("kind that the URL does not name", `${core}/pods`, service({ ports: [port] })),
  badRequest(
    "text where a number belongs",
    `${apps}/deployments`,
    deployment({ replicas: "three", selector: {}, template: {} }),
    /replicas/,
  ),
  badRequest(
    "number that does not fit 32 bits",
    `${apps}/deployments`,
    deployment({ replicas: 1e10, selector: {}, template: {} }),
    /replicas/,
  ),
  badRequest("list where an object belongs", `${core}/services`, service([])),
  badRequest("quantity that is none", `${core}/pods`, podOf({ resources: { requests: { cpu: "1x" } } })),
  badRequest("Secret data that is not base64", `${core}/secrets`, object("v1", "Secret", "s", { data: { a: "%%%" } })),
  badRequest(
    "unknown field, strictly",
    `${core}/services?fieldValidation=Strict`,
    service({ ports: [port], colour: "red" }),
    /unknown field "spec\.colour"/,
  ),
  badRequest(
    "field given twice, strictly",
    `${core}/configmaps?fieldValidation=Strict`,
    '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"d"},"data":{"a":"1"},"data":{"a":"2"}}',
    /duplicate field "data"/,
  ),
  badRequest(
    "namespace that the URL does not name",
    `${core}/configmaps`,
    { ...object("v1", "ConfigMap", "cm"), metadata: { name: "cm", namespace: "default" } },
    /namespace of the provided object does not match/,
  ),
  {
    what: "name that the URL does not name",
    method: "PUT",
    path: `${core}/configmaps/base`,
    body: object("v1", "ConfigMap", "other"),
    status: 400,
    reason: "BadRequest",
    message: /does not match the name on the URL/,
  },

  // Metadata.
  {
    what: "namespace that is not there",
    method: "POST",
    path: "/api/v1/namespaces/nope/configmaps",
    body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" } },
    status: 404,
    reason: "NotFound",
    message: /namespaces "nope" not found/,
  },
  {
    what: "name that is taken",
    method: "POST",
    path: `${core}/configmaps`,
    body: object("v1", "ConfigMap", "base"),
    status: 409,
    reason: "AlreadyExists",
  },
  invalid("no name", `${core}/configmaps`, { apiVersion: "v1", kind: "ConfigMap", metadata: {} }, [
    "metadata.name",
    "FieldValueRequired",
  ]),
  invalid("name with capitals", `${core}/configmaps`, object("v1", "ConfigMap", "Web_1"), [
    "metadata.name",
    "FieldValueInvalid",
  ]),
  invalid("Service name that begins with a digit", `${core}/services`, service({ ports: [port] }, "1web"), [
    "metadata.name",
    "FieldValueInvalid",
  ]),
  {
    ...badRequest("invalid UTF-8", `${core}/configmaps`, ""),
    body: Buffer.from('{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"\xff\xfe"}}', "latin1"),
  },
  invalid(
    "label value with blanks",
    `${core}/configmaps`,
    { ...object("v1", "ConfigMap", "cm"), metadata: { name: "cm", labels: { a: "b c" } } },
    ["metadata.labels", "FieldValueInvalid"],
  ),
  invalid(
    "label key that would be a prototype",
    `${core}/configmaps`,
    JSON.parse('{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"cm","labels":{"__proto__":"x"}}}') as object,
    ["metadata.labels", "FieldValueInvalid"],
  ),
  invalid(
    "annotations above 256 KiB",
    `${core}/configmaps`,
    { ...object("v1", "ConfigMap", "cm"), metadata: { name: "cm", annotations: { a: "x".repeat(300_000) } } },
    ["metadata.annotations", "FieldValueTooLong"],
  ),
  invalid(
    "owner without uid",
    `${core}/configmaps`,
    {
      ...object("v1", "ConfigMap", "cm"),
      metadata: { name: "cm", ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "p", uid: "" }] },
    },
    ["metadata.ownerReferences.uid", "FieldValueInvalid"],
  ),
  {
    what: "old resource version",
    method: "PUT",
    path: `${core}/configmaps/base`,
    body: { ...object("v1", "ConfigMap", "base"), metadata: { name: "base", namespace: "bad", resourceVersion: "1" } },
    status: 409,
    reason: "Conflict",
    message: /the object has been modified/,
  },
  {
    what: "delete with another uid",
    method: "DELETE",
    path: `${core}/configmaps/base`,
    body: { kind: "DeleteOptions", apiVersion: "v1", preconditions: { uid: "00000000-0000-0000-0000-000000000000" } },
    status: 409,
    reason: "Conflict",
  },
  {
    what: "delete of the default namespace",
    method: "DELETE",
    path: "/api/v1/namespaces/default",
    status: 403,
    reason: "Forbidden",
    message: /this namespace may not be deleted/,
  },

  // Patches.
  {
    what: "JSON patch of a path that is not there",
    method: "PATCH",
    path: `${core}/configmaps/base`,
    headers: jsonPatch,
    body: [{ op: "remove", path: "/data/nope" }],
    status: 422,
    reason: "Invalid",
  },
  {
    what: "JSON patch whose test fails",
    method: "PATCH",
    path: `${core}/configmaps/base`,
    headers: jsonPatch,
    body: [{ op: "test", path: "/data/a", value: "2" }],
    status: 422,
    reason: "Invalid",
  },
  {
    what: "JSON patch that is no list",
    method: "PATCH",
    path: `${core}/configmaps/base`,
    headers: jsonPatch,
    body: { op: "add" },
    status: 400,
    reason: "BadRequest",
  },
  {
    what: "merge patch that makes the object wrong",
    method: "PATCH",
    path: `${core}/services/base`,
    headers: mergePatch,
    body: { spec: { sessionAffinity: "Sticky" } },
    status: 422,
    reason: "Invalid",
    causes: [["spec.sessionAffinity", "FieldValueNotSupported"]],
  },
  {
    what: "patch of an immutable ConfigMap",
    method: "PATCH",
    path: `${core}/configmaps/fixed`,
    headers: mergePatch,
    body: { data: { a: "2" } },
    status: 422,
    reason: "Invalid",
    causes: [["data", "FieldValueForbidden"]],
  },

  // Services.
  badService("no ports", { selector: { a: "b" } }, ["spec.ports", "FieldValueRequired"]),
  badService("port 0", { ports: [{ port: 0 }] }, ["spec.ports[0].port", "FieldValueInvalid"]),
  badService("port 70000", { ports: [{ port: 70_000 }] }, ["spec.ports[0].port", "FieldValueInvalid"]),
  badService(
    "two ports without names",
    { ports: [{ port: 80 }, { port: 81 }] },
    ["spec.ports[0].name", "FieldValueRequired"],
    ["spec.ports[1].name", "FieldValueRequired"],
  ),
  badService("one name for two ports", { ports: [port, { ...port, port: 81 }] }, [
    "spec.ports[1].name",
    "FieldValueDuplicate",
  ]),
  badService("one port twice", { ports: [port, { ...port, name: "web" }] }, ["spec.ports[1]", "FieldValueDuplicate"]),
  badService("unknown protocol", { ports: [{ ...port, protocol: "ICMP" }] }, [
    "spec.ports[0].protocol",
    "FieldValueNotSupported",
  ]),
  badService("target port 70000", { ports: [{ ...port, targetPort: 70_000 }] }, [
    "spec.ports[0].targetPort",
    "FieldValueInvalid",
  ]),
  badService("node port below the range", { type: "NodePort", ports: [{ ...port, nodePort: 8080 }] }, [
    "spec.ports[0].nodePort",
    "FieldValueInvalid",
  ]),
  badService("node port that is taken", { type: "NodePort", ports: [{ ...port, nodePort: 30_500 }] }, [
    "spec.ports[0].nodePort",
    "FieldValueInvalid",
  ]),
  badService("node port of a ClusterIP Service", { ports: [{ ...port, nodePort: 30_501 }] }, [
    "spec.ports[0].nodePort",
    "FieldValueForbidden",
  ]),
  badService("cluster IP outside the range", { clusterIP: "192.0.2.1", ports: [port] }, [
    "spec.clusterIPs",
    "FieldValueInvalid",
  ]),
  badService("cluster IP that is no address", { clusterIP: "ten", ports: [port] }, [
    "spec.clusterIPs[0]",
    "FieldValueInvalid",
  ]),
  badService("unknown type", { type: "Magic", ports: [port] }, ["spec.type", "FieldValueNotSupported"]),
  badService("ExternalName without a name", { type: "ExternalName" }, ["spec.externalName", "FieldValueRequired"]),
  badService("headless NodePort", { type: "NodePort", clusterIP: "None", ports: [port] }, [
    "spec.clusterIPs[0]",
    "FieldValueInvalid",
  ]),
  badService("bad selector value", { selector: { a: "b c" }, ports: [port] }, ["spec.selector", "FieldValueInvalid"]),
  badService(
    "source range that is none",
    { type: "LoadBalancer", loadBalancerSourceRanges: ["10.0.0.0/99"], ports: [port] },
    ["spec.LoadBalancerSourceRanges[0]", "FieldValueInvalid"],
  ),
  {
    what: "change of a cluster IP",
    method: "PATCH",
    path: `${core}/services/base`,
    headers: mergePatch,
    body: { spec: { clusterIP: "10.96.77.77", clusterIPs: ["10.96.77.77"] } },
    status: 422,
    reason: "Invalid",
    causes: [["spec.clusterIPs[0]", "FieldValueInvalid"]],
  },

  // Pods and Deployments.
  badPod("no containers", pod({ containers: [] }), ["spec.containers", "FieldValueRequired"]),
  badPod("no image", pod({ containers: [{ name: "c" }] }), ["spec.containers[0].image", "FieldValueRequired"]),
  badPod("one name for two containers", pod({ containers: [container(), container()] }), [
    "spec.containers[1].name",
    "FieldValueDuplicate",
  ]),
  badPod("container port 70000", podOf({ ports: [{ containerPort: 70_000 }] }), [
    "spec.containers[0].ports[0].containerPort",
    "FieldValueInvalid",
  ]),
  badPod("unknown restart policy", pod({ restartPolicy: "Maybe", containers: [container()] }), [
    "spec.restartPolicy",
    "FieldValueNotSupported",
  ]),
  badPod("probe without a handler", podOf({ readinessProbe: { periodSeconds: 1 } }), [
    "spec.containers[0].readinessProbe",
    "FieldValueRequired",
  ]),
  badPod("mount of a volume that is not there", podOf({ volumeMounts: [{ name: "v", mountPath: "/v" }] }), [
    "spec.containers[0].volumeMounts[0].name",
    "FieldValueNotFound",
  ]),
  badPod("request above the limit", podOf({ resources: { requests: { cpu: "2" }, limits: { cpu: "1" } } }), [
    "spec.containers[0].resources.requests",
    "FieldValueInvalid",
  ]),
  badPod("environment variable without a name", podOf({ env: [{ name: "", value: "x" }] }), [
    "spec.containers[0].env[0].name",
    "FieldValueRequired",
  ]),
  invalid(
    "selector that its template does not match",
    `${apps}/deployments`,
    deployment({ selector: { matchLabels: { app: "a" } }, template: template({ app: "b" }) }),
    ["spec.template.metadata.labels", "FieldValueInvalid"],
  ),
  invalid("no selector", `${apps}/deployments`, deployment({ template: template({ app: "b" }) }), [
    "spec.selector",
    "FieldValueRequired",
  ]),
  invalid(
    "replicas below 0",
    `${apps}/deployments`,
    deployment({ replicas: -1, selector: { matchLabels: { app: "a" } }, template: template({ app: "a" }) }),
    ["spec.replicas", "FieldValueInvalid"],
  ),
  {
    what: "change of a Deployment's selector",
    method: "PATCH",
    path: `${apps}/deployments/base`,
    headers: mergePatch,
    body: { spec: { selector: { matchLabels: { app: "new" } }, template: { metadata: { labels: { app: "new" } } } } },
    status: 422,
    reason: "Invalid",
    causes: [["spec.selector", "FieldValueInvalid"]],
  },
  {
    what: "scale below 0",
    method: "PATCH",
    path: `${apps}/deployments/base/scale`,
    headers: mergePatch,
    body: { spec: { replicas: -1 } },
    status: 422,
    reason: "Invalid",
    causes: [["spec.replicas", "FieldValueInvalid"]],
  },

  // Ingresses, Secrets, EndpointSlices, RBAC.
  badIngress("neither rules nor default", {}, ["spec", "FieldValueInvalid"]),
  badIngress("path without its type", path({ pathType: undefined }), [`${firstPath}.pathType`, "FieldValueRequired"]),
  badIngress("unknown path type", path({ pathType: "Regex" }), [`${firstPath}.pathType`, "FieldValueNotSupported"]),
  badIngress("path that is not absolute", path({ path: "shop" }), [`${firstPath}.path`, "FieldValueInvalid"]),
  badIngress("path with //", path({ path: "/a//b" }), [`${firstPath}.path`, "FieldValueInvalid"]),
  badIngress("backend without a port", path({ backend: { service: { name: "svc" } } }), [
    `${firstPath}.backend`,
    "FieldValueRequired",
  ]),
  badIngress("host that is an address", { rules: [{ host: "192.0.2.1" }] }, [
    "spec.rules[0].host",
    "FieldValueInvalid",
  ]),
  badIngress("wildcard in the middle", { rules: [{ host: "a.*.test" }] }, ["spec.rules[0].host", "FieldValueInvalid"]),
  invalid(
    "TLS Secret without a key",
    `${core}/secrets`,
    object("v1", "Secret", "tls", { type: "kubernetes.io/tls", data: { "tls.crt": "eA==" } }),
    ["data[tls.key]", "FieldValueRequired"],
  ),
  invalid(
    "ConfigMap key with a blank",
    `${core}/configmaps`,
    object("v1", "ConfigMap", "cm", { data: { "a b": "" } }),
    ["data[a b]", "FieldValueInvalid"],
  ),
  invalid(
    "slice without address type",
    slices,
    object("discovery.k8s.io/v1", "EndpointSlice", "sl", { endpoints: [] }),
    ["addressType", "FieldValueRequired"],
  ),
  invalid(
    "slice address that is none",
    slices,
    object("discovery.k8s.io/v1", "EndpointSlice", "sl", {
      addressType: "IPv4",
      endpoints: [{ addresses: ["ten"] }],
      ports: [],
    }),
    ["endpoints[0].addresses[0]", "FieldValueInvalid"],
  ),
  {
    what: "change of a role reference",
    method: "PATCH",
    path: `${rbac}/rolebindings/base`,
    headers: mergePatch,
    body: { roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "edit" } },
    status: 422,
    reason: "Invalid",
    causes: [["roleRef", "FieldValueInvalid"]],
  },
];
