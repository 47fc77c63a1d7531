import type { BadRequest } from "./cases.ts";

const core = "/api/v1/namespaces/bad";
const apps = "/apis/apps/v1/namespaces/bad";
const base = `${core}/configmaps/base`;

const config = (rest: object = {}) => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "cm" }, ...rest });
const patchAs = (kind: string) => ({ "content-type": `application/${kind}+json` });

type Wrong = readonly [
  what: string,
  request: `${BadRequest["method"]} ${string}`,
  answer: `${number} ${string}`,
  more?: Partial<BadRequest>,
];

const cases: readonly Wrong[] = [
  // Methods and paths.
  ["POST to an object", `POST ${base}`, "405 MethodNotAllowed", { body: config() }],
  ["PUT to a collection", `PUT ${core}/configmaps`, "405 MethodNotAllowed", { body: config() }],
  ["POST to all namespaces", "POST /api/v1/configmaps", "405 MethodNotAllowed", { body: config() }],
  ["DELETE in all namespaces", "DELETE /api/v1/configmaps", "405 MethodNotAllowed"],
  ["object without its namespace", "GET /api/v1/configmaps/base", "404 NotFound"],
  [
    "part that no kind has",
    `GET ${core}/pods/x/nope`,
    "404 NotFound",
    { message: /^the server could not find the requested resource$/ },
  ],
  ["exec", `POST ${core}/pods/x/exec?command=ls`, "404 NotFound", { message: /^pods "x" not found$/ }],
  ["status of a kind without one", `GET ${base}/status`, "404 NotFound"],
  ["DELETE of a status", `DELETE ${apps}/deployments/base/status`, "405 MethodNotAllowed"],
  ["POST of a scale", `POST ${apps}/deployments/base/scale`, "405 MethodNotAllowed", { body: {} }],
  ["GET of a binding", `GET ${core}/pods/x/binding`, "405 MethodNotAllowed"],
  ["path that goes on behind the object", `GET ${base}/a/b/c`, "404 NotFound"],
  ["slash in a name", `GET ${core}/configmaps/a%2Fb`, "404 NotFound"],
  ["NUL in a name", `GET ${core}/configmaps/a%00b`, "404 NotFound"],
  ["escape that is none", `GET ${core}/configmaps/%zz`, "400 BadRequest"],
  ["path that is not UTF-8", `GET ${core}/configmaps/%ff%fe`, "400 BadRequest"],
  ["version that a group lacks", `GET /apis/apps/v2/namespaces/bad/deployments`, "404 NotFound"],
  ["POST to a path beside the resources", "POST /version", "405 MethodNotAllowed", { body: {} }],

  // Queries.
  ["limit that is no number", `GET ${core}/configmaps?limit=ten`, "400 BadRequest"],
  ["time limit that is no number", `GET ${core}/configmaps?watch=1&timeoutSeconds=x`, "400 BadRequest"],
  ["label selector without an end", `GET ${core}/configmaps?labelSelector=a+in+(b`, "400 BadRequest"],
  ["label value of 70 characters", `GET ${core}/configmaps?labelSelector=a%3D${"x".repeat(70)}`, "400 BadRequest"],
  ["field selector that is none", `GET ${core}/configmaps?fieldSelector=metadata.name`, "400 BadRequest"],
  ["sendInitialEvents for a list", `GET ${core}/configmaps?sendInitialEvents=true`, "422 Invalid"],
  ["exact match of version 0", `GET ${core}/pods?resourceVersion=0&resourceVersionMatch=Exact`, "422 Invalid"],
  ["match without a version", `GET ${core}/configmaps?resourceVersionMatch=Exact`, "422 Invalid"],
  ["dry run of a part", `POST ${core}/configmaps?dryRun=Some`, "422 Invalid", { body: config() }],
  ["unprintable manager", `POST ${core}/configmaps?fieldManager=a%07`, "422 Invalid", { body: config() }],

  // Bodies.
  ["no body", `POST ${core}/configmaps`, "400 BadRequest", { body: "" }],
  ["a list for an object", `POST ${core}/configmaps`, "400 BadRequest", { body: "[]" }],
  ["null for an object", `POST ${core}/configmaps`, "422 Invalid", { body: "null" }],
  ["text behind the object", `POST ${core}/configmaps`, "400 BadRequest", { body: `${JSON.stringify(config())}x` }],
  ["JSON of 100,000 levels", `POST ${core}/configmaps`, "400 BadRequest", { body: "[".repeat(100_000) }],
  ["another version", `POST ${core}/configmaps`, "400 BadRequest", { body: config({ apiVersion: "v2" }) }],
  ["a number for metadata", `POST ${core}/configmaps`, "400 BadRequest", { body: config({ metadata: 5 }) }],
  ["a list for data", `POST ${core}/configmaps`, "400 BadRequest", { body: config({ data: ["a"] }) }],
  [
    "binary data that is no base64",
    `POST ${core}/configmaps`,
    "400 BadRequest",
    { body: config({ binaryData: { a: "!" } }) },
  ],
  [
    "port of 11 digits",
    `POST ${core}/services`,
    "400 BadRequest",
    { body: '{"spec":{"ports":[{"port":99999999999}]}}' },
  ],
  ["half a port", `POST ${core}/services`, "400 BadRequest", { body: '{"spec":{"ports":[{"port":80.5}]}}' }],
  ["another name than the URL's", `PUT ${base}`, "400 BadRequest", { body: config() }],
  [
    "field given twice, strictly",
    `POST ${core}/configmaps?fieldValidation=Strict`,
    "400 BadRequest",
    { body: '{"metadata":{"name":"cm"},"data":{"a":"1","a":"2"}}', message: /duplicate field "data\.a"/ },
  ],
  [
    "Deployment that is empty",
    `POST ${apps}/deployments`,
    "422 Invalid",
    {
      body: { metadata: { name: "dep" } },
      causes: [
        ["spec.selector", "FieldValueRequired"],
        ["spec.template.spec.containers", "FieldValueRequired"],
      ],
    },
  ],

  // Patches and deletes.
  [
    "patch of another name",
    `PATCH ${base}`,
    "400 BadRequest",
    { headers: patchAs("merge-patch"), body: { metadata: { name: "z" } } },
  ],
  [
    "patch of the kind",
    `PATCH ${base}`,
    "400 BadRequest",
    { headers: patchAs("merge-patch"), body: { kind: "Secret" } },
  ],
  [
    "patch of the uid",
    `PATCH ${base}`,
    "409 Conflict",
    { headers: patchAs("merge-patch"), body: { metadata: { uid: "x" } } },
  ],
  [
    "patch of what is not there",
    `PATCH ${core}/pods/no`,
    "404 NotFound",
    { headers: patchAs("merge-patch"), body: {} },
  ],
  ["patch that is not complete", `PATCH ${base}`, "400 BadRequest", { headers: patchAs("merge-patch"), body: "{" }],
  [
    "operation that JSON patch lacks",
    `PATCH ${base}`,
    "422 Invalid",
    { headers: patchAs("json-patch"), body: [{ op: "x", path: "/data" }] },
  ],
  [
    "10,001 operations",
    `PATCH ${base}`,
    "413 RequestEntityTooLarge",
    {
      headers: patchAs("json-patch"),
      body: Array.from({ length: 10_001 }, () => ({ op: "test", path: "/kind", value: "ConfigMap" })),
    },
  ],
  [
    "copies that grow without bound",
    `PATCH ${base}`,
    "422 Invalid",
    {
      headers: patchAs("json-patch"),
      body: Array.from({ length: 40 }, (_, i) => ({ op: "copy", from: "/data", path: `/data/k${i}` })),
    },
  ],
  [
    // Upstream gives these two without a reason.
    "directive that strategic merge lacks",
    `PATCH ${core}/services/base`,
    "500 ",
    { headers: patchAs("strategic-merge-patch"), body: { spec: { ports: [{ port: 80, $patch: "frob" }] } } },
  ],
  [
    "list entry without its key",
    `PATCH ${core}/services/base`,
    "500 ",
    { headers: patchAs("strategic-merge-patch"), body: { spec: { ports: [{ name: "x" }] } } },
  ],
  ["options of another kind", `DELETE ${base}`, "400 BadRequest", { body: { kind: "Pod" } }],
  ["policy that is none", `DELETE ${base}?propagationPolicy=Maybe`, "422 Invalid"],
  ["grace period in words", `DELETE ${base}`, "400 BadRequest", { body: { gracePeriodSeconds: "soon" } }],
];

/** Requests that use the protocol wrongly: methods, paths, queries, bodies, patches. */
export const protocolRequests: readonly BadRequest[] = cases.map(([what, request, answer, more = {}]) => {
  const [method = "", path = ""] = request.split(" ");
  const [status, reason = ""] = answer.split(" ");
  return { what, method: method as BadRequest["method"], path, status: Number(status), reason, ...more };
});
