import { afterEach, beforeEach, expect, test } from "vitest";
import type { UserInfo } from "../handler.ts";
import { startTestApi, type TestApi } from "../test-api.ts";
import { splitName } from "./target.ts";

let api: TestApi;
const pods = "/api/v1/namespaces/default/pods";
const reader: UserInfo = { name: "reader", groups: ["system:authenticated"] };

beforeEach(async () => {
  api = await startTestApi();
  const containers = [
    { name: "app", image: "i" },
    { name: "side", image: "i" },
  ];
  await api.call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
  await api.call("POST", pods, { metadata: { name: "web" }, spec: { containers } });
  await api.call("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles", {
    metadata: { name: "reader" },
    rules: [{ apiGroups: [""], resources: ["pods", "pods/exec"], verbs: ["get"] }],
  });
  await api.call("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", {
    metadata: { name: "reader" },
    subjects: [{ kind: "User", name: "reader", apiGroup: "rbac.authorization.k8s.io" }],
    roleRef: { kind: "Role", name: "reader", apiGroup: "rbac.authorization.k8s.io" },
  });
});
afterEach(() => api.stop());

test("reading is not enough to run a command, whatever the protocol", async () => {
  const { status, body } = await api.call("GET", `${pods}/web/exec?command=ls&stdout=true&container=app`, undefined, {
    user: reader,
  });
  expect(status).toBe(403);
  expect(body.message).toContain('cannot create resource "pods/exec"');
});

test.each([
  ["GET", `${pods}/none/exec?command=ls`, 404, 'pods "none" not found'],
  [
    "POST",
    `${pods}/web/exec?command=ls`,
    400,
    "a container name must be specified for pod web, choose one of: [app side]",
  ],
  ["POST", `${pods}/web/attach?container=x`, 400, "container x is not valid for pod web"],
  ["POST", `${pods}/web/exec?command=ls&container=app`, 400, "pod web does not have a host assigned"],
  ["GET", `${pods}/web/portforward?ports=80,x`, 400, 'strconv.ParseUint: parsing "x": invalid syntax'],
  ["GET", `${pods}/web/proxy/`, 400, "address not allowed"],
  ["GET", `${pods}/a:b:c/proxy/`, 400, 'invalid pod request "a:b:c"'],
  ["GET", "/api/v1/namespaces/default/services/none/proxy/", 404, 'services "none" not found'],
  ["GET", "/api/v1/nodes/none/proxy/", 404, 'nodes "none" not found'],
] as const)("%s %s is answered with %i", async (method, path, status, message) => {
  const answer = await api.call(method, path);
  expect([answer.status, answer.body.message]).toEqual([status, message]);
});

test("a proxy path without a slash at its end is sent to the one with it", async () => {
  const answer = await api.call("GET", `${pods}/web/proxy?a=b`);
  expect([answer.status, answer.headers["location"]]).toEqual([301, `${pods}/web/proxy/?a=b`]);
});

test.each(["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const)(
  "%s goes to the root of the pod instead",
  async (method) => {
    const answer = await api.call(method, `${pods}/web/proxy?a=b`);
    expect([answer.status, answer.body.message]).toEqual([400, "address not allowed"]);
  },
);

test("OPTIONS needs a role with all verbs, and only proxies take it", async () => {
  expect((await api.call("OPTIONS", `${pods}/web/proxy/`, undefined, { user: reader })).status).toBe(403);
  expect((await api.call("OPTIONS", `${pods}/web`)).status).toBe(405);
  expect((await api.call("OPTIONS", `${pods}/web/exec?command=ls`)).status).toBe(405);
});

test("discovery names the parts that lead somewhere else", async () => {
  const { body } = await api.call("GET", "/api/v1");
  const part = (name: string) => body.resources.find((one: { name: string }) => one.name === name);
  expect(part("pods/exec")).toMatchObject({ kind: "PodExecOptions", verbs: ["create", "get"] });
  expect(part("pods/portforward")).toMatchObject({ kind: "PodPortForwardOptions", verbs: ["create", "get"] });
  expect(part("services/proxy")).toMatchObject({
    kind: "ServiceProxyOptions",
    verbs: ["create", "delete", "get", "patch", "update"],
  });
  expect(part("pods/ephemeralcontainers")).toMatchObject({ kind: "Pod", verbs: ["get", "patch", "update"] });
});

test("ephemeral containers are added by their own part alone, and stay as they are", async () => {
  const merge = { headers: { "content-type": "application/strategic-merge-patch+json" } };
  const debug = { name: "debug", image: "sh", targetContainerName: "app" };
  const add = (container: object) =>
    api.call("PATCH", `${pods}/web/ephemeralcontainers`, { spec: { ephemeralContainers: [container] } }, merge);
  const added = await add(debug);
  expect(added.status).toBe(200);
  expect(added.body.spec.ephemeralContainers).toMatchObject([{ ...debug, imagePullPolicy: "Always" }]);
  const changed = await add({ ...debug, image: "other" });
  expect(changed.status).toBe(422);
  expect(changed.body.message).toContain('existing ephemeral containers "debug" may not be changed');
  const beside = await api.call(
    "PATCH",
    `${pods}/web`,
    { spec: { ephemeralContainers: [{ name: "x", image: "y" }] } },
    merge,
  );
  expect(beside.status).toBe(422);
});

test("a resize changes resources, and not the class of service", async () => {
  const merge = { headers: { "content-type": "application/strategic-merge-patch+json" } };
  const resize = (resources: object) =>
    api.call("PATCH", `${pods}/web/resize`, { spec: { containers: [{ name: "app", resources }] } }, merge);
  const refused = await resize({ requests: { cpu: "1" } });
  expect(refused.status).toBe(422);
  expect(refused.body.message).toContain("Pod QOS Class may not change as a result of resizing");
});

test.each([
  ["web", { scheme: "", name: "web", port: "" }],
  ["web:http", { scheme: "", name: "web", port: "http" }],
  ["https:web:443", { scheme: "https", name: "web", port: "443" }],
  ["https:web:", { scheme: "https", name: "web", port: "" }],
])("%s names a target", (id, expected) => {
  expect(splitName(id, "service")).toEqual(expected);
});
