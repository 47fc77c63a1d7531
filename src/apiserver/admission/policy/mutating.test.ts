import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mergePatch, startTestApi, type TestApi } from "../../test-api.ts";

let api: TestApi;
beforeEach(async () => {
  api = await startTestApi();
});
afterEach(() => api.stop());

const group = "/apis/admissionregistration.k8s.io/v1";
const apiVersion = "admissionregistration.k8s.io/v1";
const maps = "/api/v1/namespaces/default/configmaps";
const rule = {
  operations: ["*"],
  apiGroups: ["", "apps"],
  apiVersions: ["v1"],
  resources: ["configmaps", "deployments"],
};
const apply = (expression: string): object => ({ patchType: "ApplyConfiguration", applyConfiguration: { expression } });
const patch = (expression: string): object => ({ patchType: "JSONPatch", jsonPatch: { expression } });

async function put(url: string, body: object): Promise<void> {
  const { status, text } = await api.call("POST", url, body);
  expect(status, text).toBe(201);
}
async function policy(name: string, mutations: readonly object[], spec: object = {}): Promise<void> {
  await put(`${group}/mutatingadmissionpolicies`, {
    apiVersion,
    kind: "MutatingAdmissionPolicy",
    metadata: { name },
    spec: { matchConstraints: { resourceRules: [rule] }, reinvocationPolicy: "Never", mutations, ...spec },
  });
  await put(`${group}/mutatingadmissionpolicybindings`, {
    apiVersion,
    kind: "MutatingAdmissionPolicyBinding",
    metadata: { name: `${name}-binding` },
    spec: { policyName: name },
  });
}
// oxlint-disable-next-line typescript/no-explicit-any
const create = async (name: string, more: object = {}, url = maps): Promise<{ status: number; body: any }> => {
  const { status, text } = await api.call("POST", url, { metadata: { name }, ...more });
  return { status, body: JSON.parse(text) };
};

describe("MutatingAdmissionPolicy", () => {
  it("merges a configuration", async () => {
    await policy("p", [
      apply(
        "Object{metadata: Object.metadata{labels: {'by': request.userInfo.username}}, data: {'b': object.data.a + '2'}}",
      ),
    ]);
    const { status, body } = await create("x", { data: { a: "1" } });
    expect([status, body.data, body.metadata.labels]).toEqual([201, { a: "1", b: "12" }, { by: expect.any(String) }]);
  });

  it("merges lists by their keys", async () => {
    await policy("p", [
      apply(`Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{containers: [
        Object.spec.template.spec.containers{name: "main", env: [
          Object.spec.template.spec.containers.env{name: "ADDED", value: "yes"}]}]}}}}`),
    ]);
    const { status, body } = await create(
      "d",
      {
        apiVersion: "apps/v1",
        kind: "Deployment",
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: {
            metadata: { labels: { a: "b" } },
            spec: {
              containers: [
                { name: "main", image: "i", env: [{ name: "OLD", value: "1" }] },
                { name: "side", image: "j" },
              ],
            },
          },
        },
      },
      "/apis/apps/v1/namespaces/default/deployments",
    );
    expect(status, JSON.stringify(body)).toBe(201);
    const [main, side] = body.spec.template.spec.containers;
    expect([main.image, main.env, side.name]).toEqual([
      "i",
      [
        { name: "OLD", value: "1" },
        { name: "ADDED", value: "yes" },
      ],
      "side",
    ]);
  });

  it("applies patches, one after the other", async () => {
    await policy(
      "p",
      [
        patch("[JSONPatch{op: 'add', path: '/metadata/annotations', value: {'a': 'b'}}]"),
        patch(
          "[JSONPatch{op: 'test', path: '/data/a', value: '1'}, JSONPatch{op: 'add', path: '/metadata/annotations/' + jsonpatch.escapeKey('example.org/x'), value: variables.v}]",
        ),
      ],
      { variables: [{ name: "v", expression: "object.data.a + '!'" }] },
    );
    const { status, body } = await create("x", { data: { a: "1" } });
    expect([status, body.metadata?.annotations]).toEqual([201, { a: "b", "example.org/x": "1!" }]);
  });

  it("conditions keep requests out", async () => {
    await policy("p", [apply("Object{data: {'b': '1'}}")], {
      matchConditions: [{ name: "c", expression: "object.metadata.name != 'not'" }],
    });
    expect((await create("not")).body.data).toBeUndefined();
    expect((await create("yes")).body.data).toEqual({ b: "1" });
  });

  it.each([
    [
      "Object{metadata: Object.spec{labels: {'a': 'b'}}}",
      'unexpected type name "Object.spec", expected "Object.metadata"',
    ],
    ["Object{metadata: Object.metadata{managedFields: []}}", "managedFields may not be set"],
    ["Object{data: {'a': object.nope}}", "no such key: nope"],
  ])("what fails is refused, or passed over: %s", async (expression, text) => {
    await policy("p", [apply(expression)]);
    const { status, body } = await create("x");
    expect([status, body.message]).toEqual([422, expect.stringContaining(text)]);
    expect(body.message).toContain("policy 'p' with binding 'p-binding' denied request: ");
    await api.call("PATCH", `${group}/mutatingadmissionpolicies/p`, { spec: { failurePolicy: "Ignore" } }, mergePatch);
    expect((await create("x")).status).toBe(201);
  });
});

describe("expressions are checked when they are written", () => {
  const write = async (plural: string, kind: string, rest: object) => {
    const { status, text } = await api.call("POST", `${group}/${plural}`, {
      apiVersion,
      kind,
      metadata: { name: "w" },
      ...rest,
    });
    return { status, message: (JSON.parse(text) as { message?: string }).message };
  };
  const matchConstraints = { resourceRules: [rule] };
  it.each<[string, object, string]>([
    [
      "validation",
      { validations: [{ expression: "object.a +" }] },
      'spec.validations[0].expression: Invalid value: "object.a +": compilation failed: ERROR: <input>:1:11: Syntax error',
    ],
    [
      "type",
      { validations: [{ expression: "object.a" }, { expression: "'a'" }] },
      "spec.validations[1].expression: Invalid value: \"'a'\": must evaluate to bool",
    ],
    [
      "reference",
      { validations: [{ expression: "params.x == 1" }] },
      "undeclared reference to 'params' (in container '')",
    ],
    ["field", { validations: [{ expression: "request.nope == 1" }] }, "undefined field 'nope'"],
    [
      "message",
      { validations: [{ expression: "true", messageExpression: "1" }] },
      'spec.validations[0].messageExpression: Invalid value: "1": must evaluate to string',
    ],
    [
      "annotation",
      { auditAnnotations: [{ key: "k", valueExpression: "1" }] },
      'spec.auditAnnotations[0].valueExpression: Invalid value: "1": must evaluate to one of [string null_type] but got int',
    ],
    [
      "variable",
      { variables: [{ name: "v", expression: "nope" }], validations: [{ expression: "true" }] },
      "spec.variables[0].expression",
    ],
    [
      "condition",
      { matchConditions: [{ name: "c", expression: "1" }], validations: [{ expression: "true" }] },
      'spec.matchConditions[0].expression: Invalid value: "1": must evaluate to bool',
    ],
  ])("%s", async (_, spec, text) => {
    const { status, message } = await write("validatingadmissionpolicies", "ValidatingAdmissionPolicy", {
      spec: { matchConstraints, ...spec },
    });
    expect([status, message]).toEqual([422, expect.stringContaining(text)]);
  });
  it("mutations", async () => {
    const spec = {
      matchConstraints,
      reinvocationPolicy: "Never",
      mutations: [apply("'a'"), patch("Object{}"), patch("[JSONPatch{nope: 'a'}]")],
    };
    const { status, message } = await write("mutatingadmissionpolicies", "MutatingAdmissionPolicy", { spec });
    expect([status, message]).toEqual([
      422,
      expect.stringContaining("spec.mutations[0].applyConfiguration.expression"),
    ]);
    expect(message).toContain("spec.mutations[1].jsonPatch.expression");
    expect(message).toContain("undefined field 'nope'");
  });
  it("webhooks", async () => {
    const webhook = {
      name: "a.example.org",
      clientConfig: { url: "https://127.0.0.1:1/" },
      sideEffects: "None",
      admissionReviewVersions: ["v1"],
      matchConditions: [{ name: "c", expression: "object.x ==" }],
    };
    const { status, message } = await write("validatingwebhookconfigurations", "ValidatingWebhookConfiguration", {
      webhooks: [webhook],
    });
    expect([status, message]).toEqual([422, expect.stringContaining("webhooks[0].matchConditions[0].expression")]);
  });
});
