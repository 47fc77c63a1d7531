import { startTestApi, type TestApi } from "../../../src/apiserver/test-api.ts";
import type { ApiRequest } from "../../../src/apiserver/handler.ts";
import { broken, skeleton, type Target } from "../target.ts";
import { anyKey } from "./renaming.ts";

/** After this many requests a new server begins with an empty store. */
const perServer = 3000;
const patience = 300;

let api: TestApi | undefined;
let asked = 0;

async function server(): Promise<TestApi> {
  if (api && asked < perServer) return api;
  await api?.stop();
  asked = 0;
  api = await startTestApi();
  for (const [path, object] of begun) await api.call("POST", path, object);
  return api;
}

const begun: readonly (readonly [string, object])[] = [
  ["/api/v1/namespaces/default/configmaps", { metadata: { name: "a", labels: { app: "web" } }, data: { a: "b" } }],
  [
    "/api/v1/namespaces/default/services",
    { metadata: { name: "a" }, spec: { selector: { a: "b" }, ports: [{ port: 80 }] } },
  ],
  ["/api/v1/namespaces/default/pods", { metadata: { name: "a" }, spec: { containers: [{ name: "c", image: "i" }] } }],
  [
    "/apis/apps/v1/namespaces/default/deployments",
    {
      metadata: { name: "a" },
      spec: {
        selector: { matchLabels: { a: "b" } },
        template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
      },
    },
  ],
];

const methods = new Set(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]);
/** What upstream too says with 500, of bodies that do not fit. */
const honest =
  /failed to create typed patch object|expected a |unknown patch type|failed to merge config|unable to find api field|Error on|failed to|no kubelet|no endpoints|not registered|must have|not identical|does not contain declared|without merge key|no elements in|cannot|unable|unexpected|expected|^\[?target\.(kind|name): /i;

/** `[method, path with query, headers, body]`; a body that is a text is sent as it is, all else as JSON. */
export const requests: Target = {
  name: "requests",
  form: "json",
  words: [
    anyKey,
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "HEAD",
    "content-type",
    "accept",
    "application/json",
    "application/yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "/api/v1/namespaces/default/configmaps",
    "/api/v1/namespaces/default/configmaps/a",
    "/api/v1/namespaces/default/pods/a/status",
    "/apis/apps/v1/namespaces/default/deployments/a/scale",
    "/api/v1/namespaces/default/pods/a/eviction",
    "/api/v1/namespaces/default/pods/a/binding",
    "/api/v1/namespaces/default/serviceaccounts/default/token",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "?watch=1&timeoutSeconds=1",
    "?labelSelector=",
    "?fieldSelector=",
    "?limit=1&continue=",
    "?dryRun=All",
    "?fieldManager=x&force=true",
    "?fieldValidation=Strict",
    "/openapi/v3/api/v1",
    "/apis",
  ],
  seeds: () => [
    `["POST","/api/v1/namespaces/default/configmaps",{"content-type":"application/json"},{"metadata":{"name":"b","labels":{"${anyKey}":"x"}},"data":{"${anyKey}":"y"}}]`,
    `["PATCH","/api/v1/namespaces/default/services/a",{"content-type":"application/strategic-merge-patch+json"},{"spec":{"ports":[{"port":81,"name":"x"},{"port":80,"name":"y"}]}}]`,
    `["PATCH","/api/v1/namespaces/default/configmaps/a",{"content-type":"application/json-patch+json"},[{"op":"add","path":"/data/c","value":"d"}]]`,
    `["PATCH","/apis/apps/v1/namespaces/default/deployments/a?fieldManager=m&force=true",{"content-type":"application/apply-patch+yaml"},{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"},"spec":{"replicas":3}}]`,
    `["PATCH","/apis/apps/v1/namespaces/default/deployments/a/scale",{"content-type":"application/merge-patch+json"},{"spec":{"replicas":2}}]`,
    `["PUT","/api/v1/namespaces/default/configmaps/a",{"content-type":"application/yaml"},"metadata:\\n  name: a\\ndata:\\n  x: y\\n"]`,
    `["GET","/api/v1/namespaces/default/configmaps?limit=1&labelSelector=app%3Dweb",{"accept":"application/json;as=Table;v=v1;g=meta.k8s.io"},null]`,
    `["GET","/api/v1/configmaps?watch=1&resourceVersion=0&allowWatchBookmarks=true",{},null]`,
    `["DELETE","/api/v1/namespaces/default/configmaps/a",{},{"propagationPolicy":"Foreground","preconditions":{"uid":"x"}}]`,
    `["DELETE","/api/v1/namespaces/default/configmaps?labelSelector=a",{},{"dryRun":["All"]}]`,
    `["POST","/api/v1/namespaces/default/pods",{},{"metadata":{"generateName":"p-"},"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"1"}}}],"tolerations":[{"operator":"Exists"}]}}]`,
    `["POST","/api/v1/namespaces/default/serviceaccounts/default/token",{},{"spec":{"audiences":["a"],"expirationSeconds":600}}]`,
    `["POST","/apis/authorization.k8s.io/v1/subjectaccessreviews",{},{"spec":{"user":"a","groups":["b"],"extra":{"${anyKey}":["c"]},"resourceAttributes":{"verb":"get","resource":"pods","fieldSelector":{"rawSelector":"a=b"}}}}]`,
    `["POST","/apis/authentication.k8s.io/v1/tokenreviews",{},{"spec":{"token":"a.b.c"}}]`,
    `["POST","/apis/apiextensions.k8s.io/v1/customresourcedefinitions",{},{"metadata":{"name":"things.example.com"},"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"things","kind":"Thing"},"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}},"additionalPrinterColumns":[{"name":"x","type":"string","jsonPath":".spec.x"}]}]}}]`,
    `["POST","/apis/example.com/v1/namespaces/default/things",{},{"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"t"},"spec":{"x":1,"${anyKey}":2}}]`,
    `["POST","/apis/rbac.authorization.k8s.io/v1/clusterroles",{},{"metadata":{"name":"r"},"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get"],"resourceNames":["x"]}],"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"a":"b"}}]}}]`,
    `["POST","/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",{},{"metadata":{"name":"p"},"spec":{"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["configmaps"]}]},"validations":[{"expression":"object.data.a == 'b'"}]}}]`,
    `["POST","/api/v1/namespaces/default/pods/a/eviction",{},{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"a"},"deleteOptions":{"gracePeriodSeconds":0}}]`,
    `["POST","/apis/certificates.k8s.io/v1/certificatesigningrequests",{},{"metadata":{"name":"c"},"spec":{"request":"YQ==","signerName":"kubernetes.io/kube-apiserver-client","usages":["client auth"]}}]`,
    `["POST","/apis/batch/v1/namespaces/default/cronjobs",{},{"metadata":{"name":"c"},"spec":{"schedule":"*/5 * * * *","jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}}}}]`,
    `["GET","/openapi/v3/apis/apps/v1",{},null]`,
  ],
  async run(input) {
    const [method = "GET", url = "/", headers = {}, body] = partsOf(input);
    const mark = url.indexOf("?");
    const gone = new AbortController();
    const request: ApiRequest = {
      method: (methods.has(method) ? method : "GET") as ApiRequest["method"],
      path: mark < 0 ? url : url.slice(0, mark),
      query: new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1)),
      headers,
      user: { name: "admin", groups: ["system:masters", "system:authenticated"] },
      ...(body === undefined || body === null
        ? {}
        : { body: Buffer.from(typeof body === "string" ? body : JSON.stringify(body)) }),
      signal: gone.signal,
    };
    const { handler } = await server();
    asked++;
    // A list that waits for a version that is not there yet ends when its client goes.
    const timer = setTimeout(() => gone.abort(), patience);
    const response = await handler.handle(request);
    clearTimeout(timer);
    let size = 0;
    let text = "";
    if (response.type === "object")
      for (const part of response.bytes()) {
        size += part.length;
        if (text.length < 4096) text += Buffer.from(part).toString();
      }
    gone.abort();
    if (response.type === "watch") for await (const frame of response.frames) frame.bytes();
    else if (response.type === "stream") for await (const chunk of response.chunks) size += chunk.length;
    const message = response.status >= 400 ? (/"message":"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? "") : "";
    if (response.status === 500 && !honest.test(message)) broken(`500: ${text.slice(0, 500)}`);
    if (response.status > 504 || response.status < 200) broken(`status ${response.status}`);
    return `${response.status} ${skeleton(message)}`;
  },
};

function partsOf(input: Buffer): [string?, string?, Record<string, string>?, unknown?] {
  let parts: unknown;
  try {
    parts = JSON.parse(input.toString());
  } catch {
    return [];
  }
  if (!Array.isArray(parts)) return [];
  const [method, url, headers, body] = parts as unknown[];
  const entries = typeof headers === "object" && headers !== null ? Object.entries(headers) : [];
  return [
    typeof method === "string" ? method : "GET",
    typeof url === "string" ? url : "/",
    Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === "string")),
    body,
  ];
}
