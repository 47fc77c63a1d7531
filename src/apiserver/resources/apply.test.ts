import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mergePatch, startTestApi, type CallOptions, type TestApi } from "../test-api.ts";

const maps = "/api/v1/namespaces/default/configmaps";
const deployments = "/apis/apps/v1/namespaces/default/deployments";
const yaml = { headers: { "content-type": "application/apply-patch+yaml" } };
const jsonPatch = { headers: { "content-type": "application/json-patch+json" } };
const as = (agent: string): CallOptions => ({ headers: { "user-agent": agent } });
const config = (data: object, metadata: object = {}) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "a", ...metadata },
  data,
});
const web = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web" },
  spec: {
    selector: { matchLabels: { app: "web" } },
    template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "web", image: "nginx" }] } },
  },
};

let api: TestApi;
beforeEach(async () => {
  api = await startTestApi();
});
afterEach(() => api.stop());

const apply = (url: string, body: object, query = "fieldManager=me") =>
  api.call("PATCH", `${url}?${query}`, body, yaml);
const managers = async (url: string): Promise<string[]> => {
  const { body } = await api.call("GET", url);
  return (body.metadata.managedFields ?? []).map(
    (entry: { manager: string; operation: string; subresource?: string }) =>
      `${entry.manager} ${entry.operation}${entry.subresource ? ` ${entry.subresource}` : ""}`,
  );
};

describe("an apply request", () => {
  it("makes what is not there, and changes what is", async () => {
    const made = await apply(`${maps}/a`, config({ k: "1" }));
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ data: { k: "1" }, metadata: { namespace: "default", name: "a" } });
    const changed = await apply(`${maps}/a`, config({ k: "2" }));
    expect(changed.status).toBe(200);
    expect(changed.body.data).toEqual({ k: "2" });
  });

  it("that changes nothing makes no version, whatever the time", async () => {
    const { body: first } = await apply(`${maps}/a`, config({ k: "1" }));
    await api.clock.advance(60_000);
    const { body: second } = await apply(`${maps}/a`, config({ k: "1" }));
    expect(second).toEqual(first);
  });

  it("reads YAML, and says what is given twice", async () => {
    const text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: '1', k: '2'}\n";
    const body = Buffer.from(text);
    const strict = await api.call("PATCH", `${maps}/a?fieldManager=me&fieldValidation=Strict`, body, yaml);
    expect(strict.body).toMatchObject({
      code: 400,
      message:
        'error strict decoding patch: error converting YAML to JSON: yaml: unmarshal errors:\n  line 4: key "k" already set in map',
    });
    const warned = await api.call("PATCH", `${maps}/a?fieldManager=me`, body, yaml);
    expect(warned.status).toBe(201);
    expect(warned.headers["warning"]).toContain("already set in map");
  });

  it("as a dry run changes nothing", async () => {
    expect((await apply(`${maps}/a`, config({ k: "1" }), "fieldManager=me&dryRun=All")).status).toBe(201);
    expect((await api.call("GET", `${maps}/a`)).status).toBe(404);
  });

  it("meets conflicts, and force", async () => {
    await api.call("POST", maps, config({ k: "1" }), as("kubectl-create/v1.35.2 (linux/amd64) kubernetes/x"));
    const { body } = await apply(`${maps}/a`, config({ k: "2" }));
    expect(body).toEqual({
      apiVersion: "v1",
      kind: "Status",
      metadata: {},
      status: "Failure",
      message: 'Apply failed with 1 conflict: conflict with "kubectl-create" using v1: .data.k',
      reason: "Conflict",
      details: {
        causes: [
          { reason: "FieldManagerConflict", message: 'conflict with "kubectl-create" using v1', field: ".data.k" },
        ],
      },
      code: 409,
    });
    expect((await apply(`${maps}/a`, config({ k: "2" }), "fieldManager=me&force=true")).status).toBe(200);
    expect(await managers(`${maps}/a`)).toEqual(["me Apply", "kubectl-create Update"]);
  });

  it.each<[string, string, object, number, string]>([
    [
      "names no manager",
      "",
      config({}),
      422,
      'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    ],
    [
      "has managed fields",
      "fieldManager=me",
      config({}, { managedFields: [{}] }),
      400,
      "metadata.managedFields must be nil",
    ],
    [
      "has another name",
      "fieldManager=me",
      config({}, { name: "b" }),
      400,
      "the name of the object (b) does not match the name on the URL (a)",
    ],
    [
      "has another namespace",
      "fieldManager=me",
      config({}, { namespace: "b" }),
      400,
      "the namespace of the provided object does not match the namespace sent on the request",
    ],
    [
      "has a uid of its own",
      "fieldManager=me",
      config({}, { uid: "u" }),
      409,
      'Operation cannot be fulfilled on configmaps "a": uid mismatch: the provided object specified uid u, and no existing object was found',
    ],
    [
      "is of another kind",
      "fieldManager=me",
      { apiVersion: "v1", kind: "Pod" },
      400,
      "invalid object type: /v1, Kind=Pod",
    ],
    [
      "is no object",
      "fieldManager=me",
      Buffer.from("- 1"),
      400,
      "error decoding patch: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}",
    ],
    ["is nothing", "fieldManager=me", Buffer.from(""), 400, "invalid object type: /, Kind="],
  ])("is refused when it %s", async (_, query, body, code, message) => {
    expect((await apply(`${maps}/a`, body, query)).body).toMatchObject({ code, message });
  });

  it("with the version of the object holds only for that version", async () => {
    const { body } = await apply(`${maps}/a`, config({ k: "1" }));
    const { resourceVersion } = body.metadata;
    expect((await apply(`${maps}/a`, config({ k: "2" }, { resourceVersion }))).status).toBe(200);
    expect((await apply(`${maps}/a`, config({ k: "3" }, { resourceVersion }))).body).toMatchObject({
      code: 409,
      reason: "Conflict",
      message:
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again',
    });
  });

  it("needs the right to create, when there is nothing yet", async () => {
    const rules = [{ apiGroups: [""], resources: ["configmaps"], verbs: ["patch"] }];
    await api.call("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles", {
      metadata: { name: "r" },
      rules,
    });
    await api.call("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", {
      metadata: { name: "r" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "r" },
      subjects: [{ kind: "User", name: "joe", apiGroup: "rbac.authorization.k8s.io" }],
    });
    const joe = { ...yaml, user: { name: "joe", groups: ["system:authenticated"] } };
    const refused = await api.call("PATCH", `${maps}/a?fieldManager=me`, config({ k: "1" }), joe);
    expect(refused.body).toMatchObject({ code: 403 });
    expect(refused.body.message).toContain('cannot create resource "configmaps"');
    await apply(`${maps}/a`, config({ k: "1" }));
    expect((await api.call("PATCH", `${maps}/a?fieldManager=me`, config({ k: "2" }), joe)).status).toBe(200);
  });

  it("at the same time as others makes one object", async () => {
    const results = await Promise.all(
      Array.from({ length: 8 }, (_, i) => apply(`${maps}/a`, config({ [`k${i}`]: "1" }), `fieldManager=m${i}`)),
    );
    expect(results.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 201]);
    const { body } = await api.call("GET", `${maps}/a`);
    expect(Object.keys(body.data)).toHaveLength(8);
    expect(body.metadata.managedFields).toHaveLength(8);
  });

  it("of a status changes only that", async () => {
    await apply(`${deployments}/web`, web);
    const status = { ...web, spec: { replicas: 7 }, status: { replicas: 3 } };
    const { status: code, body } = await apply(`${deployments}/web/status`, status, "fieldManager=st");
    expect(code).toBe(200);
    expect(body).toMatchObject({ spec: { replicas: 1 }, status: { replicas: 3 } });
    expect(await managers(`${deployments}/web`)).toEqual(["me Apply", "st Apply status"]);
    const missing = await apply(`${deployments}/none/status`, { ...status, metadata: { name: "none" } });
    expect(missing.status).toBe(404);
  });

  it("of a view of what is stored speaks the view's version", async () => {
    const events = "/apis/events.k8s.io/v1/namespaces/default/events";
    const event = {
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata: { name: "e" },
      eventTime: "2030-01-01T00:00:00.000000Z",
      reportingController: "example.com/c",
      reportingInstance: "c-1",
      action: "Do",
      reason: "Done",
      type: "Normal",
      regarding: { kind: "ConfigMap", name: "a", namespace: "default" },
      note: "one",
    };
    expect((await apply(`${events}/e`, event)).status).toBe(201);
    const { body } = await api.call("GET", "/api/v1/namespaces/default/events/e");
    expect(body.message).toBe("one");
    expect(body.metadata.managedFields[0]).toMatchObject({ apiVersion: "events.k8s.io/v1" });
    expect(body.metadata.managedFields[0].fieldsV1).toHaveProperty(["f:note"]);
    // A write in the other version takes the field in the version that its owner spoke.
    await api.call("PATCH", "/api/v1/namespaces/default/events/e", { message: "two" }, mergePatch);
    const after = await api.call("GET", "/api/v1/namespaces/default/events/e");
    const [mine, theirs] = after.body.metadata.managedFields;
    expect(mine.fieldsV1).not.toHaveProperty(["f:note"]);
    expect(theirs).toMatchObject({ apiVersion: "v1", fieldsV1: { "f:message": {} } });
  });
});

describe("managed fields", () => {
  it("follow every way to write", async () => {
    await api.call("POST", `${deployments}?fieldManager=maker`, web);
    const url = `${deployments}/web`;
    await api.call(
      "PATCH",
      url,
      { metadata: { labels: { a: "1" } } },
      { headers: { ...mergePatch.headers, ...as("merger/1").headers } },
    );
    await api.call(
      "PATCH",
      `${url}?fieldManager=json`,
      [{ op: "add", path: "/metadata/labels/b", value: "2" }],
      jsonPatch,
    );
    await api.call(
      "PATCH",
      `${url}?fieldManager=smp`,
      { spec: { paused: true } },
      { headers: { "content-type": "application/strategic-merge-patch+json" } },
    );
    const { body } = await api.call("GET", url);
    await api.call("PUT", `${url}?fieldManager=putter`, { ...body, spec: { ...body.spec, minReadySeconds: 5 } });
    await api.call("PATCH", `${url}/status?fieldManager=stat`, { status: { replicas: 1 } }, mergePatch);
    expect((await managers(url)).sort()).toEqual([
      "json Update",
      "maker Update",
      "merger Update",
      "putter Update",
      "smp Update",
      "stat Update status",
    ]);
  });

  it("of a scale are those of the replicas", async () => {
    const url = `${deployments}/web`;
    await apply(url, { ...web, spec: { ...web.spec, replicas: 2 } });
    await api.call("PATCH", `${url}/scale?fieldManager=scaler`, { spec: { replicas: 4 } }, mergePatch);
    expect(await managers(url)).toEqual(["me Apply", "scaler Update scale"]);
    const scale = (replicas: number) => ({
      apiVersion: "autoscaling/v1",
      kind: "Scale",
      metadata: { name: "web" },
      spec: { replicas },
    });
    const { body } = await apply(`${url}/scale`, scale(5), "fieldManager=other");
    expect(body.message).toBe(
      'Apply failed with 1 conflict: conflict with "scaler" with subresource "scale" using autoscaling/v1: .spec.replicas',
    );
    expect((await apply(`${url}/scale`, scale(5), "fieldManager=other&force=true")).status).toBe(200);
    expect(await managers(url)).toEqual(["other Apply scale", "me Apply"]);
  });

  it("are the client's when it patches them, as for the upgrade from client-side apply", async () => {
    await api.call("POST", maps, config({ k: "1" }), as("kubectl-client-side-apply/1"));
    const { body } = await api.call("GET", `${maps}/a`);
    const [entry] = body.metadata.managedFields;
    const patch = [
      { op: "replace", path: "/metadata/managedFields", value: [{ ...entry, manager: "kubectl", operation: "Apply" }] },
      { op: "replace", path: "/metadata/resourceVersion", value: body.metadata.resourceVersion },
    ];
    expect((await api.call("PATCH", `${maps}/a`, patch, jsonPatch)).status).toBe(200);
    expect(await managers(`${maps}/a`)).toEqual(["kubectl Apply"]);
    expect((await apply(`${maps}/a`, config({ k: "2" }), "fieldManager=kubectl")).status).toBe(200);
  });

  it.each([[[{}]], [[]]])("are cleared by %j, and stay so", async (managedFields) => {
    await api.call("POST", maps, config({ k: "1" }));
    await api.call("PATCH", `${maps}/a`, { metadata: { managedFields } }, mergePatch);
    expect(await managers(`${maps}/a`)).toEqual([]);
    await api.call("PATCH", `${maps}/a`, { data: { k: "2" } }, mergePatch);
    expect(await managers(`${maps}/a`)).toEqual([]);
  });

  it("are in metadata alone too", async () => {
    await api.call("POST", maps, config({ k: "1" }), as("maker/1"));
    const accept = { headers: { accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1" } };
    const { body } = await api.call("GET", `${maps}/a`, undefined, accept);
    expect(body.metadata.managedFields[0].manager).toBe("maker");
  });

  it("name what the user agent begins with", async () => {
    for (const [agent, manager] of [
      ["", "unknown"],
      ["Mozilla", "Mozilla"],
      ["a\u0007b/1", "ab"],
      ["x".repeat(200), "x".repeat(128)],
    ] as const) {
      await api.call("POST", maps, config({ k: "1" }), as(agent));
      expect(await managers(`${maps}/a`)).toEqual([`${manager} Update`]);
      await api.call("DELETE", `${maps}/a`);
    }
  });

  it("are left out where an object would be too large with them", async () => {
    const data = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [String(i).padEnd(200, "k"), ""]));
    const made = await api.call("POST", maps, config(data));
    expect(made.status).toBe(201);
    expect(made.body.metadata.managedFields).toBeUndefined();
    const applied = await apply(`${maps}/b`, config(data, { name: "b" }));
    expect(applied.body).toMatchObject({ code: 413, reason: "RequestEntityTooLarge" });
  });

  it("are not changed by a write that changes nothing", async () => {
    const { body: made } = await api.call("POST", maps, config({ k: "1" }), as("maker/1"));
    await api.clock.advance(60_000);
    const { body } = await api.call("PUT", `${maps}/a?fieldManager=other`, config({ k: "1" }));
    expect(body.metadata).toEqual(made.metadata);
  });
});

it("other patches may not be forced, and CBOR is not read", async () => {
  const forced = await api.call("PATCH", `${maps}/a?force=true`, {}, mergePatch);
  expect(forced.body).toMatchObject({
    code: 422,
    message: 'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch',
  });
  const cbor = { headers: { "content-type": "application/apply-patch+cbor" } };
  expect((await api.call("PATCH", `${maps}/a?fieldManager=me`, Buffer.from("x"), cbor)).body).toMatchObject({
    code: 415,
    reason: "UnsupportedMediaType",
    message: "415: Unsupported Media Type",
  });
});
