import { webcrypto } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { UserInfo } from "../handler.ts";
import { mergePatch, startTestApi, type TestAnswer, type TestApi } from "../test-api.ts";

let api: TestApi;
beforeEach(async () => {
  api = await startTestApi();
});
afterEach(() => api.stop());

const requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const signerName = "example.com/signer";

async function requestFor(subject: object[]): Promise<string> {
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: subject as never,
    keys: keys as never,
    signingAlgorithm: algorithm,
  });
  return Buffer.from(request.toString("pem")).toString("base64");
}
const ask = async (signer: string, subject: object[]): Promise<TestAnswer> =>
  api.call("POST", requests, {
    metadata: { name: "r" },
    spec: { request: await requestFor(subject), signerName: signer, usages: ["client auth"] },
  });

describe("a request for a certificate", () => {
  test("is not for somebody of system:masters", async () => {
    const signer = "kubernetes.io/kube-apiserver-client";
    const { status, body } = await ask(signer, [{ O: ["system:masters"] }, { CN: ["eve"] }]);
    expect([status, body.message]).toEqual([
      403,
      `certificatesigningrequests.certificates.k8s.io "r" is forbidden: use of ${signer} signer with system:masters group is not allowed`,
    ]);
    expect((await ask(signer, [{ O: ["team"] }, { CN: ["eve"] }])).status).toBe(201);
  });

  test("is approved and signed only by who may speak for its signer", async () => {
    expect((await ask(signerName, [{ CN: ["eve"] }])).status).toBe(201);
    const user: UserInfo = { name: "clerk", groups: ["system:authenticated"] };
    const role = (name: string, rules: object[]): Promise<TestAnswer> =>
      api.call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", { metadata: { name }, rules });
    const bind = (name: string): Promise<TestAnswer> =>
      api.call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
        metadata: { name },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
        subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: "clerk" }],
      });
    const apiGroups = ["certificates.k8s.io"];
    const parts = ["approval", "status"].map((part) => `certificatesigningrequests/${part}`);
    await role("write", [{ apiGroups, resources: parts, verbs: ["get", "update", "patch"] }]);
    await bind("write");
    const approved = { type: "Approved", status: "True", reason: "Fine", message: "" };
    const approve = (): Promise<TestAnswer> =>
      api.call("PATCH", `${requests}/r/approval`, { status: { conditions: [approved] } }, { user, ...mergePatch });
    const sign = (): Promise<TestAnswer> =>
      api.call(
        "PATCH",
        `${requests}/r/status`,
        { status: { conditions: [approved, { type: "Failed", status: "True", reason: "No", message: "" }] } },
        { user, ...mergePatch },
      );
    expect((await approve()).body.message).toBe(
      `certificatesigningrequests.certificates.k8s.io "r" is forbidden: user not permitted to approve requests with signerName "${signerName}"`,
    );
    await role("speak", [{ apiGroups, resources: ["signers"], resourceNames: ["example.com/*"], verbs: ["approve"] }]);
    await bind("speak");
    const answer = await approve();
    expect(answer.status, answer.text).toBe(200);
    expect((await sign()).body.message).toContain("user not permitted to sign requests with signerName");
  });
});
