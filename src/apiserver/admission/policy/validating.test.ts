import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startTestApi, type TestApi } from "../../test-api.ts";

let api: TestApi;
beforeEach(async () => {
  api = await startTestApi();
});
afterEach(() => api.stop());

const group = "/apis/admissionregistration.k8s.io/v1";
const apiVersion = "admissionregistration.k8s.io/v1";
const maps = "/api/v1/namespaces/default/configmaps";
const rule = { operations: ["*"], apiGroups: [""], apiVersions: ["v1"], resources: ["configmaps"] };

async function put(url: string, body: object): Promise<void> {
  const { status, text } = await api.call("POST", url, body);
  expect(status, text).toBe(201);
}
const policy = (name: string, spec: object): Promise<void> =>
  put(`${group}/validatingadmissionpolicies`, {
    apiVersion,
    kind: "ValidatingAdmissionPolicy",
    metadata: { name },
    spec: { matchConstraints: { resourceRules: [rule] }, ...spec },
  });
const bind = (policyName: string, spec: object = {}, name = `${policyName}-binding`): Promise<void> =>
  put(`${group}/validatingadmissionpolicybindings`, {
    apiVersion,
    kind: "ValidatingAdmissionPolicyBinding",
    metadata: { name },
    spec: { policyName, validationActions: ["Deny"], ...spec },
  });
const create = async (name: string, data: object = {}, more: object = {}) => {
  const answer = await api.call("POST", maps, { metadata: { name, ...more }, data });
  const body = JSON.parse(answer.text) as { message?: string; reason?: string; details?: object };
  return { ...answer, body };
};
const refusal = (name: string, text: string, policyName = "p"): string =>
  `configmaps "${name}" is forbidden: ValidatingAdmissionPolicy '${policyName}' with binding '${policyName}-binding' denied request: ${text}`;

describe("ValidatingAdmissionPolicy", () => {
  it("refuses by what an expression says, in the words of the policy", async () => {
    await policy("p", { validations: [{ expression: "object.data.a == 'good'", message: "a must be good" }] });
    expect((await create("before", { a: "bad" })).status).toBe(201);
    await bind("p");
    expect((await create("ok", { a: "good" })).status).toBe(201);
    const { status, body } = await create("bad", { a: "bad" });
    expect(status).toBe(422);
    const message = refusal("bad", "a must be good");
    const cause = message.slice(message.indexOf("Validating"));
    expect(body).toMatchObject({
      message,
      reason: "Invalid",
      details: { name: "bad", kind: "configmaps", causes: [{ message: cause }] },
    });
  });

  it.each<[string, object, string, number]>([
    ["the expression when there is no message", { expression: "false" }, "failed expression: false", 422],
    [
      "an expression",
      { expression: "false", messageExpression: "'name is ' + object.metadata.name", message: "m" },
      "name is x",
      422,
    ],
    [
      "the message when the expression fails",
      { expression: "false", messageExpression: "object.nope", message: "m" },
      "m",
      422,
    ],
    ["the reason", { expression: "false", reason: "Forbidden", message: "m" }, "m", 403],
    [
      "a failure",
      { expression: "object.nope == 1" },
      "expression 'object.nope == 1' resulted in error: no such key: nope",
      422,
    ],
    [
      "too high costs",
      {
        expression:
          "[0,1,2,3,4,5,6,7,8,9].all(a, [0,1,2,3,4,5,6,7,8,9].all(b, [0,1,2,3,4,5,6,7,8,9].all(c, [0,1,2,3,4,5,6,7,8,9].all(d, [0,1,2,3,4,5,6,7,8,9].all(e, [0,1,2,3,4,5,6,7,8,9].all(f, true))))))",
      },
      "resulted in error: operation cancelled: actual cost limit exceeded",
      422,
    ],
  ])("tells %s", async (_, validation, text, code) => {
    await policy("p", { validations: [validation] });
    await bind("p");
    const { status, body } = await create("x");
    expect(status).toBe(code);
    expect(body.message).toContain(text);
  });

  it("failurePolicy Ignore passes over what fails, not over what is false", async () => {
    await policy("p", { failurePolicy: "Ignore", validations: [{ expression: "object.data.a == '1'" }] });
    await bind("p");
    expect((await create("x")).status).toBe(201);
    expect((await create("y", { a: "2" })).status).toBe(422);
  });

  it("says in its status what was checked", async () => {
    await policy("p", {
      matchConstraints: { resourceRules: [{ ...rule, apiGroups: ["apps"], resources: ["deployments"] }] },
      validations: [{ expression: "object.spec.nope == 1" }],
    });
    await api.clock.advance(1000);
    const status = async (): Promise<unknown> =>
      (JSON.parse((await api.call("GET", `${group}/validatingadmissionpolicies/p`)).text) as { status?: unknown })
        .status;
    await expect.poll(status, { timeout: 10_000 }).toMatchObject({
      observedGeneration: 1,
      typeChecking: { expressionWarnings: [{ fieldRef: "spec.validations[0].expression" }] },
    });
  });

  it("warns", async () => {
    await policy("p", { validations: [{ expression: "false", message: "careful" }] });
    await bind("p", { validationActions: ["Warn", "Audit"] });
    const { status, headers } = await create("x");
    expect(status).toBe(201);
    expect(headers["warning"]).toContain(
      "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'p-binding': careful",
    );
  });

  it("sees the request, the old object, the namespace, and evaluates variables once and lazily", async () => {
    await policy("p", {
      variables: [
        { name: "isUpdate", expression: "request.operation == 'UPDATE'" },
        { name: "changed", expression: "variables.isUpdate && object.data != oldObject.data" },
        { name: "unused", expression: "object.nope.nope" },
      ],
      validations: [
        { expression: "!variables.changed", message: "no changes" },
        { expression: "request.operation != 'CREATE' || oldObject == null" },
        { expression: "request.resource.resource == 'configmaps' && request.namespace == 'default'" },
        { expression: "namespaceObject.metadata.name == 'default'" },
        { expression: "request.userInfo.username != ''" },
        { expression: "request.operation == 'DELETE' ? object == null : object.kind == 'ConfigMap'" },
        { expression: "object == null || !has(object.metadata.labels) || object.metadata.namespace == 'default'" },
      ],
    });
    await bind("p");
    const created = await create("x", { a: "1" });
    expect(created.status, created.text).toBe(201);
    const changed = await api.call("PUT", `${maps}/x`, { metadata: { name: "x" }, data: { a: "2" } });
    expect([changed.status, changed.text]).toEqual([422, expect.stringContaining("no changes")]);
    expect(
      (await api.call("PUT", `${maps}/x`, { metadata: { name: "x", labels: { b: "c" } }, data: { a: "1" } })).status,
    ).toBe(200);
    expect((await api.call("DELETE", `${maps}/x`)).status).toBe(200);
  });

  it("asks the authorizer", async () => {
    await policy("p", {
      validations: [
        { expression: "authorizer.requestResource.check('create').allowed()" },
        {
          expression:
            "!authorizer.serviceAccount('default', 'default').group('').resource('secrets').namespace('default').check('get').allowed()",
        },
      ],
    });
    await bind("p");
    const { status, text } = await create("x");
    expect([status, text]).toEqual([201, expect.any(String)]);
  });

  it("match conditions and selectors keep requests out", async () => {
    await policy("p", {
      matchConditions: [{ name: "not-exempt", expression: "!(has(object.data) && 'exempt' in object.data)" }],
      validations: [{ expression: "false" }],
    });
    await bind("p", { matchResources: { objectSelector: { matchLabels: { checked: "yes" } } } });
    expect((await create("a")).status).toBe(201);
    expect((await create("b", {}, { labels: { checked: "yes" } })).status).toBe(422);
    expect((await create("c", { exempt: "1" }, { labels: { checked: "yes" } })).status).toBe(201);
  });

  describe("parameters", () => {
    const params = { paramKind: { apiVersion: "v1", kind: "ConfigMap" } };
    const param = (name: string, max: string, labels: object = {}): Promise<void> =>
      put("/api/v1/namespaces/kube-system/configmaps", { metadata: { name, labels }, data: { max } });
    const validations = [
      { expression: "int(object.data.n) <= int(params.data.max)", messageExpression: "'at most ' + params.data.max" },
    ];

    it("by name", async () => {
      await param("limits", "3");
      await policy("p", { ...params, validations });
      await bind("p", { paramRef: { name: "limits", namespace: "kube-system", parameterNotFoundAction: "Deny" } });
      expect((await create("a", { n: "3" })).status).toBe(201);
      expect((await create("b", { n: "4" })).body.message).toBe(refusal("b", "at most 3"));
    });

    it("by selector: all must agree", async () => {
      await param("one", "3", { use: "yes" });
      await param("two", "2", { use: "yes" });
      await param("three", "1");
      await policy("p", { ...params, validations });
      const selector = { matchLabels: { use: "yes" } };
      await bind("p", { paramRef: { selector, namespace: "kube-system", parameterNotFoundAction: "Deny" } });
      expect((await create("a", { n: "2" })).status).toBe(201);
      expect((await create("b", { n: "3" })).body.message).toBe(refusal("b", "at most 2"));
    });

    it.each([
      ["Allow", 201],
      ["Deny", 422],
    ])("that do not exist: %s", async (parameterNotFoundAction, code) => {
      await policy("p", { ...params, validations });
      await bind("p", { paramRef: { name: "none", namespace: "kube-system", parameterNotFoundAction } });
      const { status, body } = await create("a", { n: "9" });
      expect(status).toBe(code);
      if (code !== 201)
        expect(body.message).toBe(
          refusal(
            "a",
            "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
          ),
        );
    });

    it("of a kind that is not known", async () => {
      await policy("p", { paramKind: { apiVersion: "example.org/v1", kind: "Nope" }, validations });
      await bind("p", { paramRef: { name: "x", namespace: "default", parameterNotFoundAction: "Deny" } });
      expect((await create("a", { n: "9" })).body.message).toContain("failed to configure binding: paramKind kind");
    });
  });
});
