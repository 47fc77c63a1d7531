import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestCluster, type TestCluster } from "../../src/testing/index.ts";
import { startKubectl, withoutKubectl, type Kubectl } from "../support/kubectl.ts";

const why = withoutKubectl ? ` (skipped: ${withoutKubectl})` : "";

const apiVersion = "admissionregistration.k8s.io/v1";
const policy = (name: string, spec: object): string =>
  JSON.stringify({
    apiVersion,
    kind: "ValidatingAdmissionPolicy",
    metadata: { name },
    spec: {
      matchConstraints: {
        resourceRules: [
          { apiGroups: ["apps"], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: ["deployments"] },
        ],
      },
      ...spec,
    },
  });
const binding = (policyName: string, spec: object): string =>
  JSON.stringify({
    apiVersion,
    kind: "ValidatingAdmissionPolicyBinding",
    metadata: { name: `${policyName}-binding` },
    spec: { policyName, ...spec },
  });

describe.skipIf(withoutKubectl !== undefined)(`policies, through kubectl${why}`, () => {
  let cluster: TestCluster;
  let kubectl: Kubectl;
  beforeAll(async () => {
    cluster = await startTestCluster();
    kubectl = await startKubectl(cluster.kubeconfigFile);
  });
  afterAll(async () => {
    await kubectl.stop();
    await cluster.stop();
  });

  it("a policy with parameters refuses in namespaces that are bound to it", async () => {
    await kubectl.prints("create namespace bound");
    await kubectl.prints("label namespace bound environment=test");
    await kubectl.prints("create configmap limits -n default --from-literal=maxReplicas=2");
    const spec = {
      paramKind: { apiVersion: "v1", kind: "ConfigMap" },
      variables: [{ name: "max", expression: "int(params.data.maxReplicas)" }],
      validations: [
        {
          expression: "object.spec.replicas <= variables.max",
          messageExpression: "'at most ' + string(variables.max)",
        },
      ],
    };
    await kubectl.prints("apply -f -", policy("replicas", spec));
    const bound = {
      validationActions: ["Deny"],
      paramRef: { name: "limits", namespace: "default", parameterNotFoundAction: "Deny" },
      matchResources: { namespaceSelector: { matchLabels: { environment: "test" } } },
    };
    await kubectl.prints("apply -f -", binding("replicas", bound));
    await kubectl.prints("create deployment few -n bound --image=busybox --replicas=2");
    expect(await kubectl.complains("create deployment many -n bound --image=busybox --replicas=3")).toContain(
      "ValidatingAdmissionPolicy 'replicas' with binding 'replicas-binding' denied request: at most 2",
    );
    expect(await kubectl.complains("scale deployment few -n bound --replicas=2 --current-replicas=9")).not.toBe("");
    await kubectl.prints("create deployment many -n default --image=busybox --replicas=3");
    await kubectl.prints('patch configmap limits -n default -p {"data":{"maxReplicas":"5"}}');
    await kubectl.prints("create deployment many -n bound --image=busybox --replicas=3");
  });

  it("a policy that only warns lets through, and kubectl shows the warning", async () => {
    const spec = { validations: [{ expression: "has(object.metadata.labels.owner)", message: "who owns it?" }] };
    await kubectl.prints("apply -f -", policy("owner", spec));
    await kubectl.prints("apply -f -", binding("owner", { validationActions: ["Warn"] }));
    const { code, stderr } = await kubectl.run("create deployment warned -n default --image=busybox");
    expect([code, stderr]).toEqual([
      0,
      expect.stringContaining(
        "Warning: Validation failed for ValidatingAdmissionPolicy 'owner' with binding 'owner-binding':",
      ),
    ]);
  });

  it("an expression that does not compile is refused, one with wrong types is told of in the status", async () => {
    expect(
      await kubectl.complains(
        "apply -f -",
        policy("broken", { validations: [{ expression: "object.spec.replicas >" }] }),
      ),
    ).toContain("spec.validations[0].expression: Invalid value");
    await kubectl.prints("apply -f -", policy("typo", { validations: [{ expression: "object.spec.replicaz > 1" }] }));
    await expect
      .poll(() => kubectl.prints("get validatingadmissionpolicy typo -o jsonpath={.status.typeChecking}"), {
        timeout: 10_000,
      })
      .toContain("undefined field 'replicaz'");
  });
});
