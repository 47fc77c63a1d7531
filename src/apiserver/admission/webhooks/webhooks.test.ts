import { afterEach, describe, expect, test } from "vitest";
import { EgressError } from "../../egress/index.ts";
import { createFakeEgress, type FakeAnswer, type FakeEgress } from "../../egress/fake-egress.ts";
import { collection, install, widgets } from "../../custom/testing.ts";
import { mergePatch, startTestApi, type TestApi } from "../../test-api.ts";

interface Review {
  readonly apiVersion: string;
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly request: any;
}

type Answer = (review: Review, path: string) => object | FakeAnswer | Promise<object>;

const allow = { allowed: true };
const patching = (...operations: object[]): object => ({
  allowed: true,
  patchType: "JSONPatch",
  patch: Buffer.from(JSON.stringify(operations)).toString("base64"),
});
const label = (name: string, value = "yes"): object =>
  patching({ op: "add", path: "/metadata/labels", value: { [name]: value } });

let api: TestApi;
let egress: FakeEgress;
afterEach(() => api.stop());

/** An API server whose webhooks `answer` stands for: the response of a review, or a whole HTTP answer with `status`. */
async function start(answer: Answer): Promise<void> {
  egress = createFakeEgress(async (_origin, { path }, body) => {
    const review = body as Review;
    const given = await answer(review, path);
    if ("status" in given && typeof given.status === "number") return given;
    const { apiVersion } = review;
    return { body: { apiVersion, kind: "AdmissionReview", response: { uid: review.request.uid, ...given } } };
  });
  api = await startTestApi({ egress });
}

const webhook = (name: string, more: object = {}): object => ({
  name,
  clientConfig: { service: { namespace: "hooks", name: "hook", path: `/${name}` } },
  rules: [{ operations: ["*"], apiGroups: [""], apiVersions: ["v1"], resources: ["configmaps"], scope: "*" }],
  sideEffects: "None",
  admissionReviewVersions: ["v1"],
  ...more,
});
async function configure(type: "Mutating" | "Validating", name: string, ...webhooks: object[]): Promise<void> {
  const url = `/apis/admissionregistration.k8s.io/v1/${type.toLowerCase()}webhookconfigurations`;
  const body = {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: `${type}WebhookConfiguration`,
    metadata: { name },
  };
  const { status, text } = await api.call("POST", url, { ...body, webhooks });
  expect(status, text).toBe(201);
}
const url = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const maps = "/api/v1/namespaces/default/configmaps";
const map = (name: string, more: object = {}): object => ({ metadata: { name, ...more }, data: { a: "1" } });
const asked = (): string[] => egress.sent.map(({ request }) => request.path.split("?")[0] ?? "");

describe("what a webhook is told", () => {
  test("is the request as the client made it", async () => {
    await start(() => allow);
    await configure("Validating", "watcher", webhook("one.example.com", { timeoutSeconds: 7 }));
    await api.call("POST", `${maps}?fieldManager=me`, { metadata: { generateName: "x-" } });
    const [sent] = egress.sent;
    expect(sent?.origin).toBe("https://hook.hooks.svc:443");
    expect(sent?.request.path).toBe("/one.example.com?timeout=7s");
    const { request, ...review } = (sent as { body: unknown }).body as Review;
    expect(review).toEqual({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview" });
    expect(request).toMatchObject({
      kind: { group: "", version: "v1", kind: "ConfigMap" },
      resource: { group: "", version: "v1", resource: "configmaps" },
      requestKind: { group: "", version: "v1", kind: "ConfigMap" },
      requestResource: { group: "", version: "v1", resource: "configmaps" },
      namespace: "default",
      operation: "CREATE",
      userInfo: { username: "admin", groups: ["system:masters", "system:authenticated"] },
      object: { apiVersion: "v1", kind: "ConfigMap" },
      oldObject: null,
      dryRun: false,
      options: { kind: "CreateOptions", apiVersion: "meta.k8s.io/v1", fieldManager: "me" },
    });
  });

  test("has the old object on update and delete, with their versions", async () => {
    await start(() => allow);
    await api.call("POST", maps, map("a"));
    await configure("Validating", "watcher", webhook("one.example.com"));
    await api.call("PATCH", `${maps}/a`, { data: { a: "2" } }, mergePatch);
    await api.call("DELETE", `${maps}/a?gracePeriodSeconds=0&dryRun=All`);
    const [update, remove] = egress.sent.map(({ body }) => (body as Review).request);
    expect(update).toMatchObject({
      operation: "UPDATE",
      name: "a",
      object: { data: { a: "2" } },
      oldObject: { data: { a: "1" } },
    });
    expect(update.object.metadata.resourceVersion).toBe(update.oldObject.metadata.resourceVersion);
    expect(update.options.kind).toBe("PatchOptions");
    expect(remove).toMatchObject({ operation: "DELETE", name: "a", object: null, dryRun: true });
    expect(remove.oldObject.data).toEqual({ a: "2" });
    expect(remove.options).toMatchObject({ kind: "DeleteOptions", gracePeriodSeconds: 0, dryRun: ["All"] });
  });

  test("is the part's own kind for scale, binding and eviction", async () => {
    await start(() => allow);
    const rules = [{ operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: ["*/*"] }];
    const spec = { containers: [{ name: "c", image: "i" }] };
    const labels = { app: "a" };
    await api.call("POST", "/apis/apps/v1/namespaces/default/deployments", {
      metadata: { name: "d" },
      spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
    });
    await api.call("POST", "/api/v1/namespaces/default/pods", { metadata: { name: "p" }, spec });
    await configure("Validating", "all", webhook("one.example.com", { rules }));
    const deployment = "/apis/apps/v1/namespaces/default/deployments/d/scale";
    const scaled = await api.call("PATCH", deployment, { spec: { replicas: 3 } }, mergePatch);
    expect(scaled.body.spec.replicas).toBe(3);
    const pod = "/api/v1/namespaces/default/pods/p";
    expect((await api.call("POST", `${pod}/binding`, { target: { name: "node" } })).status).toBe(201);
    expect((await api.call("POST", `${pod}/eviction`, { metadata: { name: "p" } })).status).toBe(201);
    const seen = egress.sent.map(({ body }) => (body as Review).request);
    expect(
      seen.map(({ operation, kind, resource, subResource }) => [operation, kind.kind, resource.resource, subResource]),
    ).toEqual([
      ["UPDATE", "Scale", "deployments", "scale"],
      ["CREATE", "Binding", "pods", "binding"],
      ["CREATE", "Eviction", "pods", "eviction"],
    ]);
    expect(seen[0].object.spec.replicas).toBe(3);
    expect(seen[0].oldObject.spec.replicas).toBe(1);
  });

  test("is the other version with matchPolicy Equivalent, and nothing with Exact", async () => {
    await start(() => allow);
    const rules = [{ operations: ["*"], apiGroups: ["events.k8s.io"], apiVersions: ["v1"], resources: ["events"] }];
    await configure(
      "Validating",
      "events",
      webhook("equal.example.com", { rules }),
      webhook("exact.example.com", { rules, matchPolicy: "Exact" }),
    );
    const involvedObject = { kind: "Pod", name: "p", namespace: "default" };
    const event = { metadata: { name: "e" }, involvedObject, reason: "R", message: "hello", type: "Normal" };
    const { status, text } = await api.call("POST", "/api/v1/namespaces/default/events", event);
    expect(status, text).toBe(201);
    expect(asked()).toEqual(["/equal.example.com"]);
    const [{ request }] = egress.sent.map(({ body }) => body as Review) as [Review];
    expect(request).toMatchObject({
      kind: { group: "events.k8s.io", version: "v1", kind: "Event" },
      requestKind: { group: "", version: "v1", kind: "Event" },
      object: { apiVersion: "events.k8s.io/v1", note: "hello" },
    });
  });
});

test("a webhook for one version of a custom resource sees and changes the others in that version", async () => {
  await start(() => label("seen"));
  const schema = {
    type: "object",
    properties: { spec: { type: "object", properties: { size: { type: "integer" } } } },
  };
  const version = { served: true, schema: { openAPIV3Schema: schema } };
  const versions = [
    { ...version, name: "v1", storage: true },
    { ...version, name: "v1beta1", storage: false },
  ];
  await install(api, widgets({ type: "object" }, {}, { versions }));
  const rules = [{ operations: ["*"], apiGroups: ["acme.io"], apiVersions: ["v1beta1"], resources: ["widgets"] }];
  await configure("Mutating", "widgets", webhook("one.example.com", { rules }));
  const { status, body, text } = await api.call("POST", collection, { metadata: { name: "w" }, spec: { size: 1 } });
  expect(status, text).toBe(201);
  expect(body).toMatchObject({ apiVersion: "acme.io/v1", metadata: { labels: { seen: "yes" } }, spec: { size: 1 } });
  const [{ request }] = egress.sent.map((one) => one.body as Review) as [Review];
  expect(request).toMatchObject({
    kind: { version: "v1beta1" },
    resource: { version: "v1beta1" },
    requestKind: { version: "v1" },
    object: { apiVersion: "acme.io/v1beta1", spec: { size: 1 } },
  });
});

test("what a webhook adds to a custom resource is pruned and completed by its structure", async () => {
  await start(() => patching({ op: "add", path: "/spec", value: { junk: 1 } }));
  const properties = { size: { type: "integer", default: 3 } } as const;
  await install(api, widgets({ type: "object", properties: { spec: { type: "object", properties } } }));
  const rules = [{ operations: ["*"], apiGroups: ["acme.io"], apiVersions: ["v1"], resources: ["widgets"] }];
  await configure("Mutating", "widgets", webhook("one.example.com", { rules }));
  const { body } = await api.call("POST", collection, { metadata: { name: "w" } });
  expect(body.spec).toEqual({ size: 3 });
});

describe("what a webhook may do", () => {
  test("is to change the object, one after the other in order of names", async () => {
    await start(({ request }, path) => {
      if (path.startsWith("/b"))
        return patching({ op: "add", path: "/metadata/labels/b", value: request.object.metadata.labels.a });
      return label("a", "first");
    });
    await configure("Mutating", "z", webhook("b.example.com"));
    await configure("Mutating", "a", webhook("a.example.com"));
    const { body } = await api.call("POST", maps, map("m"));
    expect(body.metadata.labels).toEqual({ a: "first", b: "first" });
    expect(asked()).toEqual(["/a.example.com", "/b.example.com"]);
  });

  test("is to be asked again when one after it changed the object", async () => {
    await start((_review, path) => (path.startsWith("/late") ? label("late") : allow));
    await configure(
      "Mutating",
      "m",
      webhook("again.example.com", { reinvocationPolicy: "IfNeeded" }),
      webhook("once.example.com"),
      webhook("late.example.com"),
    );
    await api.call("POST", maps, map("m"));
    expect(asked()).toEqual(["/again.example.com", "/once.example.com", "/late.example.com", "/again.example.com"]);
  });

  test("is to refuse, with a message and a code of its own", async () => {
    await start(() => ({ allowed: false, status: { code: 451, message: "not here", reason: "Whim" } }));
    await configure("Validating", "v", webhook("no.example.com"));
    const { status, body } = await api.call("POST", maps, map("m"));
    expect(status).toBe(451);
    expect(body).toMatchObject({
      kind: "Status",
      status: "Failure",
      reason: "Whim",
      code: 451,
      message: 'admission webhook "no.example.com" denied the request: not here',
    });
    expect((await api.call("GET", `${maps}/m`)).status).toBe(404);
  });

  test("is to refuse without a word", async () => {
    await start(() => ({ allowed: false }));
    await configure("Mutating", "v", webhook("no.example.com"));
    const { status, body } = await api.call("POST", maps, map("m"));
    expect([status, body.message]).toEqual([
      400,
      'admission webhook "no.example.com" denied the request without explanation',
    ]);
  });

  test("is to warn", async () => {
    await start(() => ({ allowed: true, warnings: ["think again"] }));
    await configure("Validating", "v", webhook("warn.example.com"));
    expect((await api.call("POST", maps, map("m"))).headers["warning"]).toBe('299 - "think again"');
  });

  test("is nothing in a dry run, if it has side effects", async () => {
    await start(() => allow);
    // Such a configuration can only be from before admissionregistration.k8s.io/v1.
    const kind = { apiVersion: "admissionregistration.k8s.io/v1", kind: "ValidatingWebhookConfiguration" };
    const old = { ...kind, metadata: { name: "v" }, webhooks: [webhook("side.example.com", { sideEffects: "Some" })] };
    const key = "/registry/admissionregistration.k8s.io/validatingwebhookconfigurations/v";
    const value = Buffer.from(JSON.stringify(old));
    await api.store.write([], [{ type: "put", key, value }]);
    await expect.poll(async () => (await api.call("GET", `${url}/v`)).status).toBe(200);
    const { status, body } = await api.call("POST", `${maps}?dryRun=All`, map("m"));
    expect([status, body.message]).toEqual([400, 'admission webhook "side.example.com" does not support dry run']);
    expect(asked()).toEqual([]);
    expect((await api.call("POST", maps, map("m"))).status).toBe(201);
  });
});

describe("which requests a webhook sees", () => {
  test("depends on the labels of namespace and object", async () => {
    await start(() => allow);
    await api.call("POST", "/api/v1/namespaces", { metadata: { name: "chosen", labels: { hook: "on" } } });
    const matchLabels = { hook: "on" };
    await configure(
      "Validating",
      "v",
      webhook("namespace.example.com", { namespaceSelector: { matchLabels } }),
      webhook("object.example.com", { objectSelector: { matchLabels } }),
    );
    await api.call("POST", maps, map("a"));
    await api.call("POST", "/api/v1/namespaces/chosen/configmaps", map("b"));
    await api.call("POST", maps, map("c", { labels: matchLabels }));
    expect(asked()).toEqual(["/namespace.example.com", "/object.example.com"]);
  });

  test("does not hold the configuration of webhooks, so a wrong one can be taken away", async () => {
    await start(() => ({ allowed: false }));
    const rules = [{ operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: ["*/*"] }];
    await configure("Validating", "wall", webhook("wall.example.com", { rules }));
    expect((await api.call("POST", maps, map("m"))).status).toBe(400);
    expect((await api.call("DELETE", `${url}/wall`)).status).toBe(200);
    expect((await api.call("POST", maps, map("m"))).status).toBe(201);
  });
});

describe("a webhook that fails", () => {
  const refused = (): never => {
    throw new EgressError("CONNECTION", "dial tcp 10.0.0.1:443: connect: connection refused");
  };
  const failing = 'Internal error occurred: failed calling webhook "bad.example.com": ';
  const patch = (text: string): object => ({
    allowed: true,
    patchType: "JSONPatch",
    patch: Buffer.from(text).toString("base64"),
  });

  test.each<[string, Answer, string]>([
    [
      "because nobody is there",
      refused,
      'failed to call webhook: Post "https://hook.hooks.svc:443/bad.example.com?timeout=10s": dial tcp 10.0.0.1:443: connect: connection refused',
    ],
    [
      "with an error code",
      () => ({ status: 404 }),
      "failed to call webhook: the server could not find the requested resource",
    ],
    [
      "with an error of its own",
      () => ({ status: 500, body: "oops" }),
      'failed to call webhook: an error on the server ("oops") has prevented the request from succeeding',
    ],
    [
      "with no response in it",
      () => ({ status: 200, body: {} }),
      "received invalid webhook response: webhook response was absent",
    ],
    [
      "with a patch without a type",
      () => ({ allowed: true, patch: "W10=" }),
      "received invalid webhook response: webhook returned response.patch but not response.patchType",
    ],
    [
      "with a type of patch that there is not",
      () => ({ allowed: true, patch: "W10=", patchType: "Magic" }),
      'unsupported patch type "Magic"',
    ],
    ["with a patch that is none", () => patch("{"), "received undecodable patch in webhook response: "],
  ])("%s refuses the request, or is passed over", async (_name, answer, message) => {
    await start(answer);
    await configure("Mutating", "m", webhook("bad.example.com"));
    const { status, body } = await api.call("POST", maps, map("m"));
    expect(status).toBe(500);
    expect(body.message).toContain(failing + message);
    expect(body.reason).toBe("InternalError");
    const url = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/m";
    await api.call("DELETE", url);
    await configure("Mutating", "m", webhook("bad.example.com", { failurePolicy: "Ignore" }));
    expect((await api.call("POST", maps, map("m"))).status).toBe(201);
  });

  test("by answering another question", async () => {
    await start(() => ({ uid: "other", allowed: true }));
    await configure("Validating", "v", webhook("bad.example.com"));
    const { body } = await api.call("POST", maps, map("m"));
    expect(body.message).toMatch(
      /received invalid webhook response: expected response.uid="[0-9a-f-]{36}", got "other"$/,
    );
  });

  test("by an answer that is too long", async () => {
    await start(() => ({ status: 200, body: "x".repeat(9 << 20) }));
    await configure("Validating", "v", webhook("bad.example.com"));
    const { status, body } = await api.call("POST", maps, map("m"));
    expect([status, body.message]).toEqual([500, expect.stringContaining("the answer has more than")]);
  });

  test("by a patch that does not apply, whatever its failure policy", async () => {
    await start(() => patching({ op: "remove", path: "/metadata/none" }));
    await configure("Mutating", "m", webhook("bad.example.com", { failurePolicy: "Ignore" }));
    expect((await api.call("POST", maps, map("m"))).status).toBe(500);
  });

  test("is counted", async () => {
    await start(refused);
    await configure(
      "Validating",
      "v",
      webhook("bad.example.com"),
      webhook("open.example.com", { failurePolicy: "Ignore" }),
    );
    await api.call("POST", maps, map("m"));
    const { text } = await api.call("GET", "/metrics");
    expect(text).toContain(
      'apiserver_admission_webhook_rejection_count{name="bad.example.com",type="validating",operation="CREATE",error_type="calling_webhook_error",rejection_code="503"} 1',
    );
    expect(text).toContain('apiserver_admission_webhook_fail_open_count{name="open.example.com",type="validating"} 1');
  });
});
