import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startTestApi, type TestApi } from "../test-api.ts";
import type { Impersonation } from "../authentication/index.ts";
import type { UserInfo } from "../handler.ts";

const rbac = "/apis/rbac.authorization.k8s.io/v1";
const user = (name: string, ...groups: string[]): UserInfo => ({ name, groups: [...groups, "system:authenticated"] });
const bob = user("bob", "dev");
const subject = { kind: "User", name: "bob", apiGroup: "rbac.authorization.k8s.io" };

let api: TestApi;
beforeEach(async () => {
  api = await startTestApi();
});
afterEach(() => api.stop());

const bind = (role: string, kind = "ClusterRole"): object => ({
  metadata: { name: `bob-${role}` },
  roleRef: { apiGroup: "rbac.authorization.k8s.io", kind, name: role },
  subjects: [subject],
});

describe("authorization", () => {
  it("refuses who has no role, in Kubernetes' words", async () => {
    const { status, body } = await api.call("GET", "/api/v1/namespaces/default/pods", undefined, { user: bob });
    expect(status).toBe(403);
    expect(body).toMatchObject({
      reason: "Forbidden",
      message: 'pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "default"',
      details: { kind: "pods" },
    });
    const scale = await api.call("GET", "/apis/apps/v1/namespaces/default/deployments/web/scale", undefined, {
      user: bob,
    });
    expect(scale.body.message).toBe(
      'deployments.apps "web" is forbidden: User "bob" cannot get resource "deployments/scale" in API group "apps" in the namespace "default"',
    );
    const nodes = await api.call("GET", "/api/v1/nodes", undefined, { user: bob });
    expect(nodes.body.message).toMatch(/at the cluster scope$/);
  });

  it("lets nobody see more than health and version without a certificate", async () => {
    const anonymous = { user: { name: "system:anonymous", groups: ["system:unauthenticated"] } };
    for (const path of ["/healthz", "/livez", "/readyz", "/version"])
      expect((await api.call("GET", path, undefined, anonymous)).status).toBe(200);
    for (const path of ["/api", "/apis", "/openapi/v3", "/api/v1/namespaces"])
      expect((await api.call("GET", path, undefined, anonymous)).status).toBe(403);
    expect((await api.call("GET", "/apis", undefined, anonymous)).body.message).toBe(
      'forbidden: User "system:anonymous" cannot get path "/apis"',
    );
  });

  it("holds inside the namespace of a RoleBinding alone", async () => {
    await api.call("POST", `${rbac}/namespaces/default/rolebindings`, bind("view"));
    const as = { user: bob };
    expect((await api.call("GET", "/api/v1/namespaces/default/pods", undefined, as)).status).toBe(200);
    expect((await api.call("GET", "/api/v1/namespaces/kube-system/pods", undefined, as)).status).toBe(403);
    expect((await api.call("GET", "/api/v1/pods", undefined, as)).status).toBe(403);
    expect((await api.call("GET", "/api/v1/namespaces/default/secrets", undefined, as)).status).toBe(403);
    expect((await api.call("DELETE", "/api/v1/namespaces/default/pods", undefined, as)).status).toBe(403);
  });

  it("asks for the right to create where an update would create", async () => {
    await api.call("POST", `${rbac}/clusterroles`, {
      metadata: { name: "updater" },
      rules: [{ verbs: ["update"], apiGroups: ["coordination.k8s.io"], resources: ["leases"] }],
    });
    await api.call("POST", `${rbac}/clusterrolebindings`, bind("updater"));
    const lease = { metadata: { name: "l" }, spec: { holderIdentity: "me", leaseDurationSeconds: 5 } };
    const path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
    expect((await api.call("PUT", path, lease, { user: bob })).status).toBe(403);
    expect((await api.call("PUT", path, lease)).status).toBe(201);
  });

  it("gives admin what edit has, and edit what view has", async () => {
    await api.call("POST", `${rbac}/namespaces/default/rolebindings`, bind("admin"));
    const pods = "/api/v1/namespaces/default/pods";
    for (const [method, url] of [
      ["GET", pods],
      ["DELETE", pods],
      ["GET", `${rbac}/namespaces/default/roles`],
    ] as const)
      expect((await api.call(method, url, undefined, { user: bob })).status).toBe(200);
    const { rules } = (await api.call("GET", `${rbac}/clusterroles/admin`)).body;
    for (const name of ["edit", "view"])
      expect(rules).toEqual(expect.arrayContaining((await api.call("GET", `${rbac}/clusterroles/${name}`)).body.rules));
  });

  it("knows groups and service accounts", async () => {
    await api.call("POST", `${rbac}/clusterrolebindings`, {
      ...bind("view"),
      subjects: [
        { kind: "Group", name: "dev", apiGroup: "rbac.authorization.k8s.io" },
        { kind: "ServiceAccount", name: "robot", namespace: "kube-system" },
      ],
    });
    for (const one of [bob, user("system:serviceaccount:kube-system:robot")])
      expect((await api.call("GET", "/api/v1/pods", undefined, { user: one })).status).toBe(200);
    expect(
      (await api.call("GET", "/api/v1/pods", undefined, { user: user("system:serviceaccount:default:robot") })).status,
    ).toBe(403);
  });
});

describe("impersonation", () => {
  const as = (user: string, ...groups: string[]): Impersonation => ({ user, groups, uid: "", extra: {} });

  it("acts for someone else, when that is allowed", async () => {
    const who = async (impersonation: Impersonation) =>
      (await api.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, { impersonation })).body.status
        .userInfo;
    expect(await who(as("bob", "dev", "ops"))).toEqual({
      username: "bob",
      groups: ["dev", "ops", "system:authenticated"],
    });
    expect((await who(as("system:serviceaccount:default:robot"))).groups).toContain("system:serviceaccounts:default");
    expect((await api.call("GET", "/api/v1/pods", undefined, { impersonation: as("bob") })).status).toBe(403);
  });

  it("is refused to others, and without a user", async () => {
    const refused = await api.call("GET", "/api/v1/pods", undefined, {
      user: bob,
      impersonation: as("admin", "system:masters"),
    });
    expect(refused.body.message).toBe(
      'users "admin" is forbidden: User "bob" cannot impersonate resource "users" in API group "" at the cluster scope',
    );
    const nobody = await api.call("GET", "/api/v1/pods", undefined, { impersonation: as("", "dev") });
    expect(nobody.status).toBe(400);
  });
});

describe("escalation", () => {
  const role = { metadata: { name: "all" }, rules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }] };

  it("is refused: nobody gives away more than they have", async () => {
    await api.call("POST", `${rbac}/namespaces/default/rolebindings`, bind("admin"));
    const as = { user: bob };
    const made = await api.call("POST", `${rbac}/namespaces/default/roles`, role, as);
    expect(made.status).toBe(403);
    expect(made.body.message).toContain(
      'user "bob" (groups=["dev" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n' +
        '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}',
    );
    const bound = await api.call("POST", `${rbac}/namespaces/default/rolebindings`, { ...bind("cluster-admin") }, as);
    expect(bound.status).toBe(403);
    const fine = { metadata: { name: "some" }, rules: [{ verbs: ["get"], apiGroups: [""], resources: ["pods"] }] };
    expect((await api.call("POST", `${rbac}/namespaces/default/roles`, fine, as)).status).toBe(201);
  });

  it("is refused by way of an aggregation too", async () => {
    await api.call("POST", `${rbac}/clusterroles`, {
      metadata: { name: "keeper" },
      rules: [{ verbs: ["update"], apiGroups: ["rbac.authorization.k8s.io"], resources: ["clusterroles"] }],
    });
    await api.call("POST", `${rbac}/clusterrolebindings`, bind("keeper"));
    const { body: keeper } = await api.call("GET", `${rbac}/clusterroles/keeper`);
    const gathering = { ...keeper, aggregationRule: { clusterRoleSelectors: [{ matchLabels: { any: "thing" } }] } };
    expect((await api.call("PUT", `${rbac}/clusterroles/keeper`, gathering, { user: bob })).status).toBe(403);
    expect((await api.call("PUT", `${rbac}/clusterroles/keeper`, keeper, { user: bob })).status).toBe(200);
  });

  it("is allowed to who may escalate or bind", async () => {
    await api.call("POST", `${rbac}/clusterroles`, {
      metadata: { name: "giver" },
      rules: [
        {
          verbs: ["create", "escalate"],
          apiGroups: ["rbac.authorization.k8s.io"],
          resources: ["roles", "rolebindings"],
        },
        {
          verbs: ["bind"],
          apiGroups: ["rbac.authorization.k8s.io"],
          resources: ["clusterroles"],
          resourceNames: ["edit"],
        },
      ],
    });
    await api.call("POST", `${rbac}/namespaces/default/rolebindings`, bind("giver"));
    const as = { user: bob };
    expect((await api.call("POST", `${rbac}/namespaces/default/roles`, role, as)).status).toBe(201);
    expect((await api.call("POST", `${rbac}/namespaces/default/rolebindings`, bind("edit"), as)).status).toBe(201);
    expect((await api.call("POST", `${rbac}/namespaces/default/rolebindings`, bind("cluster-admin"), as)).status).toBe(
      403,
    );
  });
});

describe("reviews", () => {
  it("say who asks and what they may do", async () => {
    const as = { user: bob };
    const who = await api.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, as);
    expect(who.body.status.userInfo).toEqual({ username: "bob", groups: ["dev", "system:authenticated"] });
    const spec = { resourceAttributes: { verb: "list", resource: "pods", namespace: "default" } };
    const may = (): Promise<{ body: { status: { allowed: boolean } } }> =>
      api.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", { spec }, as);
    expect((await may()).body.status.allowed).toBe(false);
    await api.call("POST", `${rbac}/namespaces/default/rolebindings`, bind("view"));
    expect((await may()).body.status.allowed).toBe(true);
    const about = await api.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {
      spec: { ...spec, user: "bob" },
    });
    expect(about.body.status.allowed).toBe(true);
    const rules = await api.call(
      "POST",
      "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
      { spec: { namespace: "default" } },
      as,
    );
    expect(rules.body.status.resourceRules).toContainEqual({
      verbs: ["get", "list", "watch"],
      apiGroups: ["discovery.k8s.io"],
      resources: ["endpointslices"],
    });
  });

  it("need a question", async () => {
    const { status, body } = await api.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
      spec: {},
    });
    expect(status).toBe(422);
    expect(body.details.causes[0].message).toContain("exactly one of");
  });
});
