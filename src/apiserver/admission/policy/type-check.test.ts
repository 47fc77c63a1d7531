import { describe, expect, it } from "vitest";
import { loadCel, type ValidatingAdmissionPolicy } from "../../../kube/index.ts";
import { createCatalog } from "../../resources/index.ts";
import { typeCheck } from "./type-check.ts";

const policyOf = (spec: object, resources = ["deployments"]): ValidatingAdmissionPolicy =>
  ({
    metadata: { name: "p" },
    spec: {
      matchConstraints: { resourceRules: [{ operations: ["*"], apiGroups: ["apps"], apiVersions: ["v1"], resources }] },
      ...spec,
    },
  }) as unknown as ValidatingAdmissionPolicy;
const check = async (spec: object, resources?: string[]) =>
  typeCheck(await loadCel(), createCatalog(), policyOf(spec, resources));

describe("typeCheck", () => {
  it("finds nothing wrong with what is right", async () => {
    const expressions = [
      "object.spec.replicas > 1",
      "object.metadata.namespace == 'default' && 'a' in object.metadata.labels",
      "object.spec.template.spec.containers.all(c, c.image.startsWith('example.org/'))",
      "has(object.spec.strategy.rollingUpdate) && string(object.spec.strategy.rollingUpdate.maxSurge) == '1'",
      "object.metadata.creationTimestamp < timestamp('2030-01-01T00:00:00Z')",
    ];
    expect(await check({ validations: expressions.map((expression) => ({ expression })) })).toEqual([]);
  });

  it("tells of fields that there are not, for each kind", async () => {
    const validations = [{ expression: "object.spec.replicas > 1", messageExpression: "object.nope" }];
    const warnings = await check({ validations }, ["daemonsets", "deployments"]);
    expect(warnings).toEqual([
      {
        fieldRef: "spec.validations[0].expression",
        warning:
          "apps/v1, Kind=DaemonSet: ERROR: <input>:1:12: undefined field 'replicas'\n | object.spec.replicas > 1\n | ...........^\n",
      },
      {
        fieldRef: "spec.validations[0].messageExpression",
        warning: expect.stringMatching(
          /Kind=DaemonSet: .*undefined field 'nope'[^]*Kind=Deployment: .*undefined field 'nope'/,
        ),
      },
    ]);
  });

  it("knows the types of variables and parameters", async () => {
    const spec = {
      paramKind: { apiVersion: "v1", kind: "ConfigMap" },
      variables: [{ name: "n", expression: "object.spec.replicas" }],
      validations: [{ expression: "variables.n == params.data.max" }],
    };
    expect((await check(spec))[0]?.warning).toContain(
      "found no matching overload for '_==_' applied to '(int, string)'",
    );
  });

  it("leaves rules with stars alone", async () => {
    expect(await check({ validations: [{ expression: "object.nope == 1" }] }, ["*"])).toEqual([]);
  });
});
