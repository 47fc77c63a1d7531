import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mergePatch, startTestApi, type TestApi } from "../test-api.ts";

const configMaps = "/api/v1/namespaces/default/configmaps";
const config = (name: string, more: object = {}): object => ({ metadata: { name, ...more }, data: { a: "1" } });

let api: TestApi;
beforeEach(async () => {
  api = await startTestApi();
});
afterEach(() => api.stop());

describe("create", () => {
  it("fills in what the server knows", async () => {
    const { status, body } = await api.call(
      "POST",
      configMaps,
      config("a", { uid: "mine", deletionTimestamp: "2020-01-01T00:00:00Z" }),
    );
    expect(status).toBe(201);
    expect(body).toMatchObject({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { namespace: "default", creationTimestamp: "2030-01-01T00:00:00Z" },
    });
    expect(body.metadata.uid).not.toBe("mine");
    expect(body.metadata.deletionTimestamp).toBeUndefined();
    expect((await api.call("GET", `${configMaps}/a`)).body).toEqual(body);
  });

  it("makes a name", async () => {
    const names = await Promise.all(
      Array.from(
        { length: 20 },
        async () => (await api.call("POST", configMaps, { metadata: { generateName: "run-" } })).body.metadata.name,
      ),
    );
    expect(new Set(names).size).toBe(20);
    for (const name of names) expect(name).toMatch(/^run-[b-df-hj-np-tv-xz24-9]{5}$/);
  });

  it.each([
    ["a name that is taken", config("taken"), 409, "AlreadyExists", 'configmaps "taken" already exists'],
    ["no name", { data: {} }, 422, "Invalid", "name or generateName is required"],
    [
      "a resource version",
      config("a", { resourceVersion: "1" }),
      500,
      undefined,
      "resourceVersion should not be set on objects to be created",
    ],
    [
      "another namespace",
      config("a", { namespace: "kube-system" }),
      400,
      "BadRequest",
      "the namespace of the provided object does not match the namespace sent on the request",
    ],
    [
      "another kind",
      { apiVersion: "v1", kind: "Secret", metadata: { name: "a" } },
      400,
      "BadRequest",
      "cannot be handled as a ConfigMap",
    ],
    ["a bad name", config("Not_Good"), 422, "Invalid", "a lowercase RFC 1123 subdomain must consist of"],
  ])("refuses %s", async (_name, object, status, reason, message) => {
    await api.call("POST", configMaps, config("taken"));
    const answer = await api.call("POST", configMaps, object);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({ kind: "Status", status: "Failure", code: status });
    expect(answer.body.reason).toBe(reason);
    expect(answer.body.message).toContain(message);
  });

  it("refuses what has no namespace to be in", async () => {
    const gone = await api.call("POST", "/api/v1/namespaces/nowhere/configmaps", config("a"));
    expect(gone.body).toMatchObject({
      code: 404,
      message: 'namespaces "nowhere" not found',
      details: { name: "nowhere", kind: "namespaces" },
    });
    await api.call("POST", "/api/v1/namespaces", { metadata: { name: "ending" } });
    await api.call("DELETE", "/api/v1/namespaces/ending");
    const ending = await api.call("POST", "/api/v1/namespaces/ending/configmaps", config("a"));
    expect(ending.body).toMatchObject({
      code: 403,
      reason: "Forbidden",
      details: { causes: [{ reason: "NamespaceTerminating", field: "metadata.namespace" }] },
    });
  });

  it("leaves out a namespace where there is none, as manifests of cluster-wide objects often name one", async () => {
    const role = { metadata: { name: "wide", namespace: "default" }, rules: [] };
    const roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    const answers = [
      await api.call("POST", roles, role),
      await api.call("PUT", `${roles}/wide`, role),
      await api.call("PATCH", `${roles}/wide`, { metadata: role.metadata }, mergePatch),
    ];
    expect(answers.map(({ status }) => status)).toEqual([201, 200, 200]);
    for (const { body } of answers) expect(body.metadata).not.toHaveProperty("namespace");
  });

  it("writes nothing on a dry run, but says what it would", async () => {
    const { status, body } = await api.call("POST", `${configMaps}?dryRun=All`, config("a"));
    expect(status).toBe(201);
    expect(body.metadata.uid).toBeTruthy();
    expect((await api.call("GET", `${configMaps}/a`)).status).toBe(404);
  });
});

describe("field validation", () => {
  const wrong = { ...config("a"), dta: 1 };

  it("warns by default", async () => {
    const { status, headers } = await api.call("POST", configMaps, wrong);
    expect(status).toBe(201);
    expect(headers["warning"]).toBe('299 - "unknown field \\"dta\\""');
  });

  it("refuses when strict, and says nothing when told to ignore", async () => {
    const strict = await api.call("POST", `${configMaps}?fieldValidation=Strict`, wrong);
    expect(strict.status).toBe(400);
    expect(strict.body.message).toContain('strict decoding error: unknown field "dta"');
    const ignored = await api.call("POST", `${configMaps}?fieldValidation=Ignore`, wrong);
    expect(ignored.status).toBe(201);
    expect(ignored.headers["warning"]).toBeUndefined();
  });
});

describe("update", () => {
  it("asks for the version that was read", async () => {
    const { body } = await api.call("POST", configMaps, config("a"));
    const next = await api.call("PUT", `${configMaps}/a`, { ...body, data: { a: "2" } });
    expect(next.status).toBe(200);
    expect(Number(next.body.metadata.resourceVersion)).toBeGreaterThan(Number(body.metadata.resourceVersion));
    const late = await api.call("PUT", `${configMaps}/a`, { ...body, data: { a: "3" } });
    expect(late.body).toMatchObject({
      code: 409,
      reason: "Conflict",
      message:
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again',
    });
  });

  it("leaves the version alone when nothing changes, whatever the order of fields", async () => {
    const { body } = await api.call("POST", configMaps, config("a", { labels: { x: "1", y: "2" } }));
    const same = {
      data: body.data,
      metadata: { ...body.metadata, labels: { y: "2", x: "1" } },
      kind: body.kind,
      apiVersion: body.apiVersion,
    };
    const again = await api.call("PUT", `${configMaps}/a`, same);
    expect(again.body.metadata.resourceVersion).toBe(body.metadata.resourceVersion);
  });

  it("does not change who the object is", async () => {
    const { body } = await api.call("POST", configMaps, config("a"));
    const { uid, resourceVersion: _version, ...metadata } = body.metadata;
    const changed = { ...body, metadata: { ...metadata, creationTimestamp: "2000-01-01T00:00:00Z" }, data: { b: "1" } };
    const answer = await api.call("PUT", `${configMaps}/a`, changed);
    expect(answer.body.metadata).toMatchObject({ uid, creationTimestamp: body.metadata.creationTimestamp });
    const other = await api.call("PUT", `${configMaps}/a`, { ...changed, metadata: { ...metadata, uid: "other" } });
    expect(other.body.message).toContain("Precondition failed: UID in precondition: other, UID in object meta:");
  });

  it("does not make anew what has gone, where an update may create", async () => {
    const services = "/api/v1/namespaces/default/services";
    const service = { apiVersion: "v1", kind: "Service", metadata: { name: "a" }, spec: { ports: [{ port: 80 }] } };
    const { body } = await api.call("POST", services, service);
    expect((await api.call("DELETE", `${services}/a`)).status).toBe(200);
    const late = await api.call("PUT", `${services}/a`, body);
    expect(late.body).toMatchObject({ code: 409, reason: "Conflict" });
    expect((await api.call("GET", `${services}/a`)).status).toBe(404);
    expect((await api.call("PUT", `${services}/a`, service)).status).toBe(201);
  });

  it("refuses an update that names the uid of what has gone, with Kubernetes' words", async () => {
    const { body } = await api.call("POST", configMaps, config("a"));
    await api.call("DELETE", `${configMaps}/a`);
    const late = await api.call("PUT", `${configMaps}/a`, body);
    expect(late.body).toMatchObject({ code: 409, reason: "Conflict", details: { name: "a", kind: "configmaps" } });
    expect(late.body.message).toContain(`UID in precondition: ${body.metadata.uid}, UID in object meta: `);
  });

  it("refuses another name, and what is not there", async () => {
    await api.call("POST", configMaps, config("a"));
    const named = await api.call("PUT", `${configMaps}/a`, config("b"));
    expect(named.body.message).toBe("the name of the object (b) does not match the name on the URL (a)");
    expect((await api.call("PUT", `${configMaps}/b`, config("b"))).body).toMatchObject({
      code: 404,
      message: 'configmaps "b" not found',
    });
  });

  it("writes a status apart from the rest", async () => {
    const pods = "/api/v1/namespaces/default/pods";
    const { body } = await api.call("POST", pods, {
      metadata: { name: "p" },
      spec: { containers: [{ name: "c", image: "i" }] },
      status: { phase: "Failed" },
    });
    expect(body.status.phase).toBe("Pending");
    const status = await api.call("PUT", `${pods}/p/status`, {
      ...body,
      spec: { containers: [{ name: "other", image: "o" }] },
      status: { phase: "Running" },
    });
    expect(status.body).toMatchObject({ status: { phase: "Running" }, spec: { containers: [{ name: "c" }] } });
    const spec = await api.call(
      "PATCH",
      `${pods}/p`,
      { status: { phase: "Failed" }, metadata: { labels: { a: "b" } } },
      mergePatch,
    );
    expect(spec.body).toMatchObject({ status: { phase: "Running" }, metadata: { labels: { a: "b" } } });
  });
});

describe("patch", () => {
  const patch = (type: string) => ({ headers: { "content-type": type } });

  it("comes in three forms", async () => {
    await api.call("POST", configMaps, config("a"));
    const merged = await api.call("PATCH", `${configMaps}/a`, { data: { a: null, b: "2" } }, mergePatch);
    expect(merged.body.data).toEqual({ b: "2" });
    const strategic = await api.call(
      "PATCH",
      `${configMaps}/a`,
      { data: { c: "3" } },
      patch("application/strategic-merge-patch+json"),
    );
    expect(strategic.body.data).toEqual({ b: "2", c: "3" });
    const json = await api.call(
      "PATCH",
      `${configMaps}/a`,
      [{ op: "move", from: "/data/c", path: "/data/d" }],
      patch("application/json-patch+json"),
    );
    expect(json.body.data).toEqual({ b: "2", d: "3" });
  });

  it("loses nothing when many come at once", async () => {
    await api.call("POST", configMaps, config("a"));
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        api.call("PATCH", `${configMaps}/a`, { data: { [`k${i}`]: "v" } }, mergePatch),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(40).fill(200));
    expect(Object.keys((await api.call("GET", `${configMaps}/a`)).body.data)).toHaveLength(41);
  });

  it("is refused with a version that is not the newest", async () => {
    await api.call("POST", configMaps, config("a"));
    const { status } = await api.call(
      "PATCH",
      `${configMaps}/a`,
      { metadata: { resourceVersion: "1" }, data: {} },
      mergePatch,
    );
    expect(status).toBe(409);
  });

  it("is refused as a kind that is not known", async () => {
    await api.call("POST", configMaps, config("a"));
    const { body } = await api.call("PATCH", `${configMaps}/a`, config("a"), patch("application/apply-patch+cbor"));
    expect(body).toMatchObject({ code: 415, reason: "UnsupportedMediaType" });
  });

  it.each([{ metadata: { name: "b" } }, { kind: "Secret" }, { apiVersion: "v2" }])(
    "can not make another object of it: %j",
    async (change) => {
      await api.call("POST", configMaps, config("a"));
      expect((await api.call("PATCH", `${configMaps}/a`, change, mergePatch)).status).toBe(400);
    },
  );
});

describe("delete", () => {
  it("answers with a Status, or with the object that waits", async () => {
    const made = await api.call("POST", configMaps, config("a"));
    const { body } = await api.call("DELETE", `${configMaps}/a`);
    expect(body).toMatchObject({
      kind: "Status",
      status: "Success",
      details: { name: "a", kind: "configmaps", uid: made.body.metadata.uid },
    });
    await api.call("POST", configMaps, config("b", { finalizers: ["a.example/hold"] }));
    const held = await api.call("DELETE", `${configMaps}/b`);
    expect(held.body).toMatchObject({ kind: "ConfigMap", metadata: { deletionTimestamp: "2030-01-01T00:00:00Z" } });
    await api.call("PATCH", `${configMaps}/b`, { metadata: { finalizers: null } }, mergePatch);
    expect((await api.call("GET", `${configMaps}/b`)).status).toBe(404);
  });

  it("takes no new finalizers once it has begun", async () => {
    await api.call("POST", configMaps, config("b", { finalizers: ["a.example/hold"] }));
    await api.call("DELETE", `${configMaps}/b`);
    const { status, body } = await api.call(
      "PATCH",
      `${configMaps}/b`,
      { metadata: { finalizers: ["a.example/hold", "a.example/more"] } },
      mergePatch,
    );
    expect(status).toBe(422);
    expect(body.message).toContain("no new finalizers can be added if the object is being deleted");
  });

  it("does not happen on a dry run, or when a precondition does not hold", async () => {
    await api.call("POST", configMaps, config("a"));
    expect((await api.call("DELETE", `${configMaps}/a`, { dryRun: ["All"] })).status).toBe(200);
    expect((await api.call("DELETE", `${configMaps}/a?dryRun=All`)).status).toBe(200);
    expect((await api.call("DELETE", `${configMaps}/a`, { preconditions: { uid: "other" } })).status).toBe(409);
    expect((await api.call("GET", `${configMaps}/a`)).status).toBe(200);
  });

  it("of a collection takes what is selected", async () => {
    for (const [name, app] of [
      ["a", "web"],
      ["b", "web"],
      ["c", "db"],
    ])
      await api.call("POST", configMaps, config(String(name), { labels: { app } }));
    const { body } = await api.call("DELETE", `${configMaps}?labelSelector=app%3Dweb`);
    expect(body.items).toHaveLength(2);
    expect(
      (await api.call("GET", configMaps)).body.items.map((item: { metadata: { name: string } }) => item.metadata.name),
    ).toEqual(["c"]);
  });

  it.each([
    [{ propagationPolicy: "Sometimes" }, 422],
    [{ propagationPolicy: "Orphan", orphanDependents: true }, 422],
    [{ gracePeriodSeconds: "soon" }, 400],
    [{ kind: "ConfigMap" }, 400],
  ])("refuses %j", async (options, status) => {
    await api.call("POST", configMaps, config("a"));
    expect((await api.call("DELETE", `${configMaps}/a`, options)).status).toBe(status);
  });

  it("spares the namespaces that a cluster needs", async () => {
    const { status, body } = await api.call("DELETE", "/api/v1/namespaces/default");
    expect(status).toBe(403);
    expect(body.message).toBe('namespaces "default" is forbidden: this namespace may not be deleted');
  });
});

describe("paths", () => {
  it.each([
    ["GET", "/api/v1/nothings", 404],
    ["GET", "/api/v1/namespaces/default/pods/p/nothing", 404],
    ["GET", `${configMaps}/a/status`, 404],
    ["GET", `${configMaps}/a/b/c/d`, 404],
    ["POST", `${configMaps}/a`, 405],
    ["POST", "/api/v1/configmaps", 405],
    ["PUT", configMaps, 405],
    ["DELETE", "/api/v1/namespaces", 405],
    ["POST", "/version", 405],
    ["GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", 405],
  ] as const)("%s %s is answered with %i", async (method, path, status) => {
    const answer = await api.call(method, path, method === "GET" ? undefined : {});
    expect(answer.status).toBe(status);
    expect(answer.body.kind).toBe("Status");
  });

  it.each([
    ["GET", "/api/v1/namespaces/default/nodes"],
    ["GET", "/api/v1/namespaces/default/nodes/n1"],
    ["POST", "/api/v1/namespaces/default/persistentvolumes"],
    ["GET", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/clusterroles"],
    ["PUT", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/clusterroles/edit"],
    ["GET", "/apis/apiextensions.k8s.io/v1/namespaces/default/customresourcedefinitions"],
    ["POST", "/apis/authorization.k8s.io/v1/namespaces/default/subjectaccessreviews"],
    ["GET", "/api/v1/namespaces/default/componentstatuses"],
  ] as const)("%s %s: a kind of the cluster is not reached by way of a namespace", async (method, path) => {
    const rules = [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }];
    const roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    await api.call("POST", `${roles}/roles`, { metadata: { name: "all" }, rules });
    const subjects = [{ kind: "User", name: "ann", apiGroup: "rbac.authorization.k8s.io" }];
    const roleRef = { kind: "Role", name: "all", apiGroup: "rbac.authorization.k8s.io" };
    await api.call("POST", `${roles}/rolebindings`, { metadata: { name: "all" }, subjects, roleRef });
    const user = { name: "ann", groups: ["system:authenticated"] };
    const body = method === "GET" ? undefined : {};
    expect((await api.call(method, path, body, { user })).status).toBe(404);
  });

  it.each(["/apis/nowhere.example/v1/things", "/apis/nowhere.example", "/nothing", "/livez/nothing"])(
    "%s, for which there is no route at all, is answered in text",
    async (path) => {
      const { status, text, headers } = await api.call("GET", path);
      expect(status).toBe(404);
      expect(headers["content-type"]).toBe("text/plain; charset=utf-8");
      expect(text).toBe("404 page not found\n");
    },
  );
});
