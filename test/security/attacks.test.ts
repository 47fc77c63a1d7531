import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestApi, type CallOptions, type TestApi } from "../../src/apiserver/test-api.ts";

// What somebody with few rights may try on the API, each with its outcome. In this process: the handler is the one behind TLS.

const rbac = "/apis/rbac.authorization.k8s.io/v1";
const ns = "/api/v1/namespaces/default";
const bob = { name: "bob", groups: ["system:authenticated"] };
const node = { name: "system:node:one", groups: ["system:nodes", "system:authenticated"] };
const type = (text: string): CallOptions => ({ headers: { "content-type": text }, user: bob });
const refusal = { status: 403 };

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
  await api.call("POST", `${rbac}/namespaces/default/roles`, {
    metadata: { name: "bob" },
    rules: [
      {
        verbs: ["get", "list", "watch", "patch", "update"],
        apiGroups: [""],
        resources: ["configmaps"],
        resourceNames: ["own"],
      },
      { verbs: ["get"], apiGroups: [""], resources: ["pods", "services"] },
      {
        verbs: ["create", "update", "patch"],
        apiGroups: ["rbac.authorization.k8s.io"],
        resources: ["roles", "rolebindings"],
      },
    ],
  });
  await api.call("POST", `${rbac}/namespaces/default/rolebindings`, {
    metadata: { name: "bob" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "bob" },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: "bob" }],
  });
  for (const name of ["own", "other"])
    await api.call("POST", `${ns}/configmaps`, { metadata: { name, labels: { a: "b" } }, data: { k: name } });
  await api.call("POST", `${ns}/secrets`, { metadata: { name: "hidden" }, stringData: { k: "marked-secret" } });
  for (const [name, nodeName, secret] of [
    ["mine", "one", "near"],
    ["theirs", "two", "hidden"],
  ])
    await api.call("POST", `${ns}/pods`, {
      metadata: { name },
      spec: {
        nodeName,
        containers: [{ name: "c", image: "i" }],
        volumes: [{ name: "v", secret: { secretName: secret } }],
      },
    });
});
afterAll(() => api.stop());

const as = (user: NonNullable<CallOptions["user"]>) => ({ user });

describe("a right to one object", () => {
  it.each([
    ["GET", `${ns}/configmaps/other`],
    ["GET", `${ns}/configmaps`],
    ["GET", `${ns}/configmaps?watch=1`],
    ["GET", `${ns}/configmaps?fieldSelector=metadata.name!%3Down`],
    ["GET", `${ns}/configmaps?labelSelector=a%3Db`],
    ["GET", `${ns}/configmaps?fieldSelector=metadata.namespace%3Ddefault`],
    ["GET", "/api/v1/configmaps?fieldSelector=metadata.name%3Down"],
    ["DELETE", `${ns}/configmaps?fieldSelector=metadata.name%3Down`],
    ["GET", "/api/v1/namespaces//configmaps/own"],
    ["GET", `${ns}/configmaps%2Fother`],
    ["GET", `${ns}/pods/../configmaps/other`.replace("..", "%252e%252e")],
    ["GET", `${ns}/secrets/hidden`],
    ["GET", `${ns}/secrets/hidden/status`],
  ] as const)("is none to others: %s %s", async (method, url) => {
    const answer = await api.call(method, url, undefined, as(bob));
    expect([403, 404]).toContain(answer.status);
    expect(answer.text).not.toContain("marked-secret");
    expect(answer.text).not.toContain('"other"}');
  });

  it("shows it alone where it is selected by name, whatever else the selector says", async () => {
    const { status, body } = await api.call(
      "GET",
      `${ns}/configmaps?fieldSelector=metadata.name%3Down`,
      undefined,
      as(bob),
    );
    expect(status).toBe(200);
    expect((body as { items: object[] }).items).toMatchObject([{ metadata: { name: "own" } }]);
    const both = `${ns}/configmaps?fieldSelector=metadata.name%3Down,metadata.name%3Dother`;
    const twice = await api.call("GET", both, undefined, as(bob));
    expect(twice.text).not.toContain('"k":"other"');
    const repeated = `${ns}/configmaps?fieldSelector=metadata.name%3Down&fieldSelector=metadata.name%3Dother`;
    expect((await api.call("GET", repeated, undefined, as(bob))).text).not.toContain('"k":"other"');
  });

  it("does not become a right to create by an apply or an update", async () => {
    await api.call("DELETE", `${ns}/configmaps/own`);
    const object = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "own" } };
    const apply = await api.call(
      "PATCH",
      `${ns}/configmaps/own?fieldManager=m`,
      object,
      type("application/apply-patch+yaml"),
    );
    expect(apply).toMatchObject(refusal);
    const put = await api.call("PUT", `${ns}/configmaps/own`, object, as(bob));
    expect([403, 404]).toContain(put.status);
    expect((await api.call("GET", `${ns}/configmaps/own`)).status).toBe(404);
    await api.call("POST", `${ns}/configmaps`, { ...object, data: { k: "own" } });
  });

  it("does not write another object by the name in the body", async () => {
    const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "other", namespace: "kube-system" } };
    expect((await api.call("PUT", `${ns}/configmaps/own`, body, as(bob))).status).toBe(400);
    const patch = { metadata: { name: "other" } };
    const renamed = await api.call("PATCH", `${ns}/configmaps/own`, patch, type("application/merge-patch+json"));
    expect(renamed.status).toBeGreaterThanOrEqual(400);
  });
});

describe("a right to write roles", () => {
  const grant = (rules: object[], name: string) =>
    api.call("POST", `${rbac}/namespaces/default/roles`, { metadata: { name }, rules }, as(bob));

  it.each([
    ["more verbs", { verbs: ["get", "delete"], apiGroups: [""], resources: ["pods"] }],
    ["all verbs", { verbs: ["*"], apiGroups: [""], resources: ["pods"] }],
    ["another resource", { verbs: ["get"], apiGroups: [""], resources: ["secrets"] }],
    ["a part of it", { verbs: ["get"], apiGroups: [""], resources: ["pods/log"] }],
    ["all names", { verbs: ["get"], apiGroups: [""], resources: ["configmaps"] }],
    ["another name", { verbs: ["get"], apiGroups: [""], resources: ["configmaps"], resourceNames: ["own", "other"] }],
    ["all groups", { verbs: ["get"], apiGroups: ["*"], resources: ["pods"] }],
  ])("gives away no more than one has: %s", async (_, rule) => {
    expect(await grant([rule], "more")).toMatchObject(refusal);
  });

  it("gives away what one has, in parts", async () => {
    const rule = { verbs: ["get", "list"], apiGroups: [""], resources: ["configmaps"], resourceNames: ["own"] };
    expect((await grant([rule], "same")).status).toBe(201);
  });

  it("is not the way to stop the server by a rule that stands for thousands of millions of permissions", async () => {
    const many = Array.from({ length: 300 }, (_, i) => `x${i}`);
    const answer = await grant([{ verbs: many, apiGroups: many, resources: many, resourceNames: many }], "many");
    expect(answer).toMatchObject(refusal);
    const held = { verbs: ["get", ...many], apiGroups: [""], resources: ["pods"] };
    expect(await grant([held], "much")).toMatchObject(refusal);
  });

  it("binds nobody to a stronger role", async () => {
    const binding = {
      metadata: { name: "admin" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: "bob" }],
    };
    expect(await api.call("POST", `${rbac}/namespaces/default/rolebindings`, binding, as(bob))).toMatchObject(refusal);
    const patch = [{ op: "replace", path: "/roleRef/name", value: "cluster-admin" }];
    const changed = await api.call(
      "PATCH",
      `${rbac}/namespaces/default/rolebindings/bob`,
      patch,
      type("application/json-patch+json"),
    );
    expect([403, 422]).toContain(changed.status);
  });
});

describe("a node", () => {
  it.each([
    ["GET", `${ns}/secrets/hidden`],
    ["GET", `${ns}/secrets`],
    ["GET", "/api/v1/secrets"],
    ["GET", `${ns}/secrets?fieldSelector=metadata.name%3Dhidden`],
    ["GET", `${ns}/pods/theirs`],
    ["GET", "/api/v1/pods"],
    ["GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dtwo"],
    ["GET", "/api/v1/pods?fieldSelector=spec.nodeName!%3Done"],
    ["DELETE", `${ns}/pods/theirs`],
    ["GET", "/api/v1/nodes/two"],
  ] as const)("learns and changes nothing of another: %s %s", async (method, url) => {
    expect(await api.call(method, url, undefined, as(node))).toMatchObject(refusal);
  });

  it("gets no token of an account for a pod of another", async () => {
    const spec = { audiences: ["a"], boundObjectRef: { apiVersion: "v1", kind: "Pod", name: "theirs", uid: "x" } };
    expect(await api.call("POST", `${ns}/serviceaccounts/default/token`, { spec }, as(node))).toMatchObject(refusal);
    expect(
      await api.call("POST", `${ns}/serviceaccounts/default/token`, { spec: { audiences: ["a"] } }, as(node)),
    ).toMatchObject(refusal);
  });
});

describe("impersonation", () => {
  const none = { user: "", uid: "", groups: [], extra: {} };
  it.each([
    ["a user", { ...none, user: "admin" }],
    ["a group of superusers", { ...none, user: "bob", groups: ["system:masters"] }],
    ["an account", { ...none, user: "system:serviceaccount:kube-system:default" }],
    ["an extra", { ...none, user: "bob", extra: { ["__proto__"]: ["x"] } }],
    ["a uid", { ...none, user: "bob", uid: "1" }],
  ])("needs a right: %s", async (_, impersonation) => {
    expect(await api.call("GET", `${ns}/pods/mine`, undefined, { user: bob, impersonation })).toMatchObject(refusal);
  });

  it("of groups without a user is no request", async () => {
    const impersonation = { ...none, groups: ["system:masters"] };
    expect((await api.call("GET", `${ns}/secrets`, undefined, { user: bob, impersonation })).status).toBe(400);
  });
});

describe("keys that every object inherits", () => {
  const names = ["__proto__", "constructor", "toString", "hasOwnProperty"];
  const document = (text: string): object => JSON.parse(text) as object;

  it.each(names)("%s is a key like any other in objects and patches", async (key) => {
    const data = `{"metadata":{"name":"keys"},"data":{"${key}":"1"}}`;
    expect((await api.call("POST", `${ns}/configmaps`, document(data))).status).toBe(201);
    const label = document(`{"metadata":{"labels":{"${key}":"2"}}}`);
    const kinds = ["application/merge-patch+json", "application/strategic-merge-patch+json"];
    for (const kind of kinds) {
      const patched = await api.call("PATCH", `${ns}/configmaps/keys`, label, { headers: { "content-type": kind } });
      // No label may begin with an underscore.
      expect(patched.status).toBe(key === "__proto__" ? 422 : 200);
      expect(patched.text).toContain(key === "__proto__" ? "name part must consist of" : `"labels":{"${key}":"2"}`);
    }
    expect({}).not.toHaveProperty("2");
    const selected = await api.call("GET", `${ns}/configmaps?labelSelector=${key}&fieldSelector=metadata.name%3Down`);
    if (key !== "__proto__") expect((selected.body as { items: object[] }).items).toEqual([]);
    await api.call("DELETE", `${ns}/configmaps/keys`);
  });

  it.each(names)("%s is no type, class, kind or media type", async (name) => {
    expect((await api.call("POST", `${ns}/secrets`, { metadata: { name: "t" }, type: name })).status).toBe(201);
    await api.call("DELETE", `${ns}/secrets/t`);
    const spec = { priorityClassName: name, containers: [{ name: "c", image: "i" }] };
    const pod = await api.call("POST", `${ns}/pods`, { metadata: { name: "p" }, spec });
    expect([403, 422]).toContain(pod.status);
    const token = { spec: { boundObjectRef: { apiVersion: "v1", kind: name, name: "x" } } };
    expect([400, 422]).toContain((await api.call("POST", `${ns}/serviceaccounts/default/token`, token)).status);
    expect((await api.call("GET", `${ns}/pods`, undefined, { headers: { accept: name } })).status).toBe(406);
    expect((await api.call("GET", `/apis/${name}/v1/${name}`)).status).toBe(404);
    expect((await api.call("GET", `/api/v1/${name}`)).status).toBe(404);
    expect((await api.call("GET", `${ns}/pods/mine/${name}`)).status).toBe(404);
  });
});

describe("what is large or deep", () => {
  const strategic = { headers: { "content-type": "application/strategic-merge-patch+json" } };

  it("lists of many thousand items are merged without comparing each with all", async () => {
    await api.call("POST", `${ns}/services`, { metadata: { name: "many" }, spec: { ports: [{ port: 80 }] } });
    const ports = Array.from({ length: 40_000 }, (_, i) => ({ port: i + 1, name: `p${i}` }));
    const order = ports.map(({ port }) => ({ port }));
    const patch = { spec: { ports: ports.slice(0, 20_000), "$setElementOrder/ports": order.slice(0, 20_000) } };
    expect((await api.call("PATCH", `${ns}/services/many?dryRun=All`, patch, strategic)).status).toBeLessThan(500);
    const finalizers = Array.from({ length: 60_000 }, (_, i) => `a.b/f${i}`);
    const answer = await api.call("PATCH", `${ns}/services/many?dryRun=All`, { metadata: { finalizers } }, strategic);
    expect(answer.status).toBeLessThan(500);
  });

  it("a selector of thousands of requirements is answered", async () => {
    const selector = Array.from({ length: 5000 }, (_, i) => `k${i}!=v`).join(",");
    expect((await api.call("GET", `${ns}/configmaps?labelSelector=${encodeURIComponent(selector)}`)).status).toBe(200);
  });

  it("a definition whose columns and formats would take for ever costs little", async () => {
    const schema = {
      type: "object",
      properties: { spec: { type: "object", properties: { t: { type: "string", format: "duration" } } } },
    };
    const definition = {
      metadata: { name: "slows.example.com" },
      spec: {
        group: "example.com",
        scope: "Namespaced",
        names: { plural: "slows", singular: "slow", kind: "Slow", listKind: "SlowList" },
        versions: [
          {
            name: "v1",
            served: true,
            storage: true,
            schema: { openAPIV3Schema: schema },
            additionalPrinterColumns: [{ name: "x", type: "string", jsonPath: ".".repeat(300) }],
          },
        ],
      },
    };
    const made = await api.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition);
    expect(made.status).toBe(201);
    const slow = {
      apiVersion: "example.com/v1",
      kind: "Slow",
      metadata: { name: "a" },
      spec: { t: "1h301".repeat(40) },
    };
    const slows = "/apis/example.com/v1/namespaces/default/slows";
    await expect.poll(async () => (await api.call("GET", slows)).status).toBe(200);
    expect([201, 422]).toContain((await api.call("POST", slows, slow)).status);
    expect((await api.call("POST", slows, { ...slow, metadata: { name: "b" }, spec: { t: "1h" } })).status).toBe(201);
    const table = { headers: { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" } };
    expect((await api.call("GET", slows, undefined, table)).status).toBe(200);
  });
});
