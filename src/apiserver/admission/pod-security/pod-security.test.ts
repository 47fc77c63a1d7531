import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { PodSpec } from "../../../kube/index.ts";
import { mergePatch, startTestApi, type TestApi } from "../../test-api.ts";
import { checkedPod } from "./check.ts";
import { detailed, violations } from "./evaluate.ts";
import { policyOf, type Level } from "./policy.ts";

const restricted = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"] },
  runAsNonRoot: true,
  seccompProfile: { type: "RuntimeDefault" },
};
const spec = (securityContext: object = {}, pod: object = {}, container: object = {}): PodSpec => ({
  containers: [{ name: "a", image: "i", securityContext, ...container }],
  ...pod,
});
const told = (level: Level, pod: PodSpec, annotations: Record<string, string> = {}, minor = Infinity): string =>
  detailed(violations({ level, minor }, checkedPod(annotations, pod)));

describe("the baseline", () => {
  test.each<[string, PodSpec, Record<string, string>?]>([
    ['privileged (container "a" must not set securityContext.privileged=true)', spec({ privileged: true })],
    ["host namespaces (hostNetwork=true, hostIPC=true)", spec({}, { hostNetwork: true, hostIPC: true })],
    [
      'hostPath volumes (volumes "v", "w")',
      spec(
        {},
        {
          volumes: [
            { name: "v", hostPath: {} },
            { name: "w", hostPath: {} },
          ],
        },
      ),
    ],
    [
      'hostPort (container "a" uses hostPorts 443, 80)',
      spec({}, {}, { ports: [{ hostPort: 80 }, { hostPort: 443 }, {}] }),
    ],
    [
      'non-default capabilities (container "a" must not include "NET_ADMIN" in securityContext.capabilities.add)',
      spec({ capabilities: { add: ["NET_ADMIN", "CHOWN"] } }),
    ],
    [
      'seccompProfile (pod and container "a" must not set securityContext.seccompProfile.type to "Unconfined")',
      spec({ seccompProfile: { type: "Unconfined" } }, { securityContext: { seccompProfile: { type: "Unconfined" } } }),
    ],
    [
      "forbidden sysctls (kernel.msgmax)",
      spec({}, { securityContext: { sysctls: [{ name: "kernel.msgmax" }, { name: "net.ipv4.tcp_rmem" }] } }),
    ],
    [
      'forbidden AppArmor profile (annotation must not set AppArmor profile type to "container.apparmor.security.beta.kubernetes.io/a="unconfined"")',
      spec(),
      { "container.apparmor.security.beta.kubernetes.io/a": "unconfined" },
    ],
    [
      'seLinuxOptions (container "a" set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)',
      spec({ seLinuxOptions: { type: "spc_t", user: "u" } }),
    ],
    ['procMount (container "a" must not set securityContext.procMount to "Unmasked")', spec({ procMount: "Unmasked" })],
    [
      'probe or lifecycle host (container "a" uses probe or lifecycle host "8.8.8.8")',
      spec({}, {}, { livenessProbe: { httpGet: { host: "8.8.8.8" } } }),
    ],
    [
      "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
      spec({}, { securityContext: { windowsOptions: { hostProcess: true } } }),
    ],
    ["", spec()],
  ])("says: %s", (message, pod, annotations) => {
    expect(told("baseline", pod, annotations)).toBe(message);
  });

  test("is what it was at a version", () => {
    const pod = spec({}, { securityContext: { sysctls: [{ name: "net.ipv4.tcp_rmem" }] } });
    expect(told("baseline", pod, {}, 31)).toBe("forbidden sysctls (net.ipv4.tcp_rmem)");
    expect(told("baseline", pod, {}, 32)).toBe("");
  });
});

describe("the restricted level", () => {
  test("wants to be told, in upstream's order", () => {
    expect(told("restricted", spec())).toBe(
      'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false), ' +
        'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]), ' +
        'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true), ' +
        'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
    );
    expect(told("restricted", spec(restricted))).toBe("");
  });

  test.each<[string, PodSpec]>([
    ["runAsUser=0 (pod must not set runAsUser=0)", spec(restricted, { securityContext: { runAsUser: 0 } })],
    [
      'restricted volume types (volume "v" uses restricted volume type "hostPath")',
      spec(restricted, {
        volumes: [
          { name: "v", hostPath: {} },
          { name: "e", emptyDir: {} },
        ],
      }),
    ],
    [
      'runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false)',
      spec({ ...restricted, runAsNonRoot: false }),
    ],
    ["", spec({ ...restricted, runAsNonRoot: false, runAsUser: 0 }, { hostUsers: false })],
  ])("says: %s", (message, pod) => {
    expect(told("restricted", pod)).toBe(message);
  });
});

test("labels that enforce warn too; wrong ones are told", () => {
  const label = "pod-security.kubernetes.io/";
  const { policy, errors } = policyOf({ [`${label}enforce`]: "baseline", [`${label}enforce-version`]: "v1.30" });
  expect(errors).toEqual([]);
  expect(policy.warn).toEqual({ level: "baseline", minor: 30 });
  expect(policy.audit.level).toBe("privileged");
  expect(policyOf({ [`${label}warn`]: "strict" }).errors[0]?.detail).toBe(
    "must be one of privileged, baseline, restricted",
  );
});

describe("in the API", () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await startTestApi();
  });
  afterAll(() => api.stop());
  const labels = { "pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/warn": "restricted" };

  test("a pod is refused, a workload only warned of", async () => {
    await api.call("POST", "/api/v1/namespaces", { metadata: { name: "strict", labels } });
    const pod = { metadata: { name: "p" }, spec: { ...spec(), hostPID: true } };
    const refused = await api.call("POST", "/api/v1/namespaces/strict/pods", pod);
    expect([refused.status, refused.body.message]).toEqual([
      403,
      'pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostPID=true)',
    ]);
    const app = { app: "a" };
    const deployment = await api.call("POST", "/apis/apps/v1/namespaces/strict/deployments", {
      metadata: { name: "d" },
      spec: {
        selector: { matchLabels: app },
        template: { metadata: { labels: app }, spec: { ...spec(), hostPID: true } },
      },
    });
    expect(deployment.status).toBe(201);
    expect(deployment.headers["warning"]).toContain(
      'would violate PodSecurity \\"restricted:latest\\": host namespaces (hostPID=true)',
    );
  });

  test("a namespace that becomes stricter warns of its pods, and wrong labels are refused", async () => {
    await api.call("POST", "/api/v1/namespaces", { metadata: { name: "open" } });
    for (const name of ["p1", "p2"])
      await api.call("POST", "/api/v1/namespaces/open/pods", {
        metadata: { name },
        spec: { ...spec(), hostPID: true },
      });
    const changed = await api.call("PATCH", "/api/v1/namespaces/open", { metadata: { labels } }, mergePatch);
    expect(changed.headers["warning"]).toBe(
      '299 - "existing pods in namespace \\"open\\" violate the new PodSecurity enforce level \\"baseline:latest\\"", ' +
        '299 - "p1 (and 1 other pod): host namespaces"',
    );
    const wrong = { metadata: { labels: { "pod-security.kubernetes.io/audit-version": "2" } } };
    const { status, body } = await api.call("PATCH", "/api/v1/namespaces/open", wrong, mergePatch);
    expect([status, body.message]).toEqual([
      422,
      'Namespace "open" is invalid: metadata.labels[pod-security.kubernetes.io/audit-version]: Invalid value: "2": must be "latest" or "v1.x"',
    ]);
  });
});
