import { describe, expect, it } from "vitest";
import type { ValidatingAdmissionPolicy } from "../generated/types.ts";
import type { KubeObject } from "../object.ts";
import { resources, type Resource } from "../resource.ts";
import { strategyFor } from "../strategies.ts";
import { create, update } from "../testing.ts";

const rule = { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] };
const matchConstraints = { resourceRules: [rule] };
const policy = (rest: object) => ({ spec: { matchConstraints, validations: [{ expression: "true" }], ...rest } });

/** The expression language is there. */
async function written(kind: Resource, value: object) {
  const { object } = create(kind, value);
  await strategyFor(kind).ready?.(object);
  return create(kind, value);
}

describe("ValidatingAdmissionPolicy", () => {
  const kind = resources.ValidatingAdmissionPolicy;

  it.each<[object, ...string[]]>([
    [policy({})],
    [policy({ matchConstraints: {} }), "spec.matchConstraints.resourceRules: Required value"],
    [
      policy({ matchConstraints: { resourceRules: [{ ...rule, resourceNames: ["a", "a", "b/c"] }] } }),
      'spec.matchConstraints.resourceRules[0].resourceNames[1]: Duplicate value: "a"',
      "spec.matchConstraints.resourceRules[0].resourceNames[2]: Invalid value: \"b/c\": may not contain '/'",
    ],
    [
      policy({ matchConstraints: { ...matchConstraints, excludeResourceRules: [{ ...rule, operations: [] }] } }),
      "spec.matchConstraints.excludeResourceRules[0].operations: Required value",
    ],
    [policy({ paramKind: {} }), "spec.paramKind.apiVersion: Required value", "spec.paramKind.kind: Required value"],
    [
      policy({ paramKind: { apiVersion: "example.test/", kind: "K" } }),
      'spec.paramKind.apiVersion: Invalid value: "example.test/": version must be specified',
    ],
    [policy({ paramKind: { apiVersion: "A/v1", kind: "K" } }), expect.stringContaining('Invalid value: "A"') as string],
    [policy({ paramKind: { apiVersion: "v1", kind: "K" }, validations: [{ expression: "params != null" }] })],
    [
      policy({ validations: [{ expression: "params != null" }] }),
      expect.stringContaining("undeclared reference to 'params'") as string,
    ],
    [policy({ variables: [{ name: "a", expression: "1" }], validations: [{ expression: "variables.a == 1" }] })],
    [
      policy({
        variables: [{ name: "a", expression: "1" }],
        matchConditions: [{ name: "c", expression: "variables.a == 1" }],
      }),
      expect.stringContaining("undeclared reference to 'variables'") as string,
    ],
    [
      policy({ variables: [{ name: "in", expression: "1" }] }),
      'spec.variables[0].name: Invalid value: "in": must be a valid CEL identifier',
    ],
    [
      policy({ validations: [{ expression: "true", messageExpression: " " }] }),
      'spec.validations[0].messageExpression: Invalid value: " ": must be non-empty if specified',
    ],
    [
      policy({ validations: [{ expression: "true", messageExpression: "string(authorizer)" }] }),
      expect.stringContaining("undeclared reference to 'authorizer'") as string,
    ],
    [
      policy({ auditAnnotations: [{ key: "k", valueExpression: `'${"x".repeat(5 * 1024)}'` }] }),
      "spec.auditAnnotations[0].valueExpression: Required value: must not exceed 5120 bytes in length",
    ],
    [
      policy({ matchConditions: Array.from({ length: 65 }, (_, i) => ({ name: `c${i}`, expression: "true" })) }),
      "spec.matchConditions: Too many: 65: must have at most 64 items",
    ],
  ])("create %#", async (value, ...expected) => {
    expect((await written(kind, value)).faults).toEqual(expected);
  });

  it("has at most twenty remarks", async () => {
    const auditAnnotations = Array.from({ length: 21 }, (_, i) => ({ key: `k${i}`, valueExpression: "''" }));
    const { faults } = await written(kind, policy({ auditAnnotations }));
    expect(faults).toEqual([expect.stringContaining("must not have more than 20 auditAnnotations")]);
  });

  it("an update that changes nothing of it asks nothing anew of its expressions", async () => {
    const { object } = await written(kind, policy({ validations: [{ expression: "nope" }] }));
    expect(update(kind, object, ({ metadata }: KubeObject) => (metadata.labels = { a: "b" })).faults).toEqual([]);
    const change = ({ spec }: ValidatingAdmissionPolicy) => (spec.failurePolicy = "Ignore");
    expect(update(kind, object, change).faults).toEqual([expect.stringContaining("undeclared reference to 'nope'")]);
  });

  it("what is told of its types says what is wrong where", () => {
    const { object } = create(kind, policy({}));
    const { faults } = update(
      kind,
      object,
      (draft: ValidatingAdmissionPolicy) => {
        draft.status = { typeChecking: { expressionWarnings: [{ fieldRef: " ", warning: "" }] } };
      },
      { subresource: "status" },
    );
    expect(faults).toEqual([
      "status.typeChecking.expressionWarnings[0].warning: Required value",
      "status.typeChecking.expressionWarnings[0].fieldRef: Required value",
    ]);
  });
});

describe("MutatingAdmissionPolicy", () => {
  const kind = resources.MutatingAdmissionPolicy;
  const mutating = (...mutations: object[]) => ({ spec: { matchConstraints, reinvocationPolicy: "Never", mutations } });
  const patch = { patchType: "JSONPatch", jsonPatch: { expression: "[]" } };

  it.each<[object, ...string[]]>([
    [mutating(patch)],
    [mutating(), "spec.mutations: Required value: mutations must contain at least one item"],
    [{ spec: { ...mutating(patch).spec, reinvocationPolicy: "" } }, "spec.reinvocationPolicy: Required value"],
    [
      mutating({ patchType: "Paint" }),
      expect.stringContaining("spec.mutations[0].patchType: Unsupported value") as string,
    ],
    [
      mutating({ patchType: "JSONPatch" }),
      "spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch",
    ],
    [
      mutating({ ...patch, applyConfiguration: { expression: "Object{}" } }),
      "spec.mutations[0].applyConfiguration: Forbidden: must not be specified when patchType is JSONPatch",
    ],
    [
      mutating({ patchType: "ApplyConfiguration", applyConfiguration: { expression: "5" } }),
      'spec.mutations[0].applyConfiguration.expression: Invalid value: "5": must evaluate to Object but got int',
    ],
  ])("create %#", async (value, ...expected) => {
    expect((await written(kind, value)).faults).toEqual(expected);
  });
});

describe("bindings", () => {
  const kind = resources.ValidatingAdmissionPolicyBinding;
  const binding = (rest: object) => ({ spec: { policyName: "p", validationActions: ["Deny"], ...rest } });

  it.each<[object, ...string[]]>([
    [binding({ validationActions: ["Deny", "Audit"] })],
    [binding({ paramRef: { selector: {}, parameterNotFoundAction: "Allow" } })],
    [
      binding({ paramRef: { name: "a/b", parameterNotFoundAction: "Deny" } }),
      "spec.paramRef.name: Invalid value: \"a/b\": may not contain '/'",
    ],
    [
      binding({ matchResources: { resourceRules: [{ ...rule, scope: "Some" }] } }),
      'spec.matchResources.resourceRules[0].scope: Unsupported value: "Some": supported values: "*", "Cluster", "Namespaced"',
    ],
  ])("create %#", (value, ...expected) => {
    expect(create(kind, value).faults).toEqual(expected);
  });

  it("have to be updated from what they are", () => {
    for (const one of [kind, resources.MutatingAdmissionPolicyBinding, resources.ValidatingAdmissionPolicy])
      expect(strategyFor(one).allowUnconditionalUpdate).toBe(false);
  });
});
