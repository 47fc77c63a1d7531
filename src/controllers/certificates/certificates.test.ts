import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CertificateRequest, CertificateSigner } from "../../apiserver/index.ts";
import { isStatus, resources } from "../../kube/index.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { startCertificates } from "./certificates.ts";
import { signers } from "./signers.ts";

const kind = resources.CertificateSigningRequest;
const empty = { dnsNames: [], addresses: [], emails: [], uris: [] };
const ofNode: CertificateRequest = { ...empty, commonName: "system:node:n1", organizations: ["system:nodes"] };

/** Reads what a request holds as JSON, and signs by saying what it was asked. */
const signer: CertificateSigner = {
  read: async (pem) => JSON.parse(pem) as CertificateRequest,
  sign: async (pem, { usages, notBefore, notAfter }) => JSON.stringify({ pem, usages, life: notAfter - notBefore }),
};

let cluster: TestCluster;
beforeEach(() => {
  cluster = startCluster();
  startCertificates({ ...cluster, signer });
});
afterEach(() => cluster.stop());

async function ask(signerName: string, asked: object, more: object = {}, approved = true) {
  const request = Buffer.from(JSON.stringify(asked)).toString("base64");
  const usages = ["client auth", "digital signature"];
  cluster.client.put(kind, {
    metadata: { name: "r" },
    spec: { request, signerName, usages, username: "alice", ...more },
    status: approved ? { conditions: [{ type: "Approved", status: "True" }] } : {},
  });
  await cluster.settle();
  return cluster.client.get(kind, { name: "r" });
}

describe("an approved request", () => {
  it("is signed for as long as it asks", async () => {
    const asked = { ...empty, commonName: "alice", organizations: ["dev"] };
    const { status } = await ask("kubernetes.io/kube-apiserver-client", asked, { expirationSeconds: 3600 });
    const said = JSON.parse(Buffer.from(status?.certificate ?? "", "base64").toString()) as object;
    expect(said).toMatchObject({ usages: ["client auth", "digital signature"], life: 3_900_000 });
  });

  it("that its signer may not sign is told so", async () => {
    const { status } = await ask("kubernetes.io/kube-apiserver-client-kubelet", { ...ofNode, commonName: "alice" });
    expect(status?.certificate).toBeUndefined();
    expect(status?.conditions?.[1]).toMatchObject({ type: "Failed", reason: "SignerValidationFailure" });
  });

  it("of another signer is left alone", async () => {
    const { status } = await ask("example.test/own", ofNode);
    expect(status).toEqual({ conditions: [{ type: "Approved", status: "True" }] });
  });
});

it("what nobody approved is not signed, and goes after a day", async () => {
  expect((await ask("kubernetes.io/kube-apiserver-client", ofNode, {}, false)).status).toEqual({});
  await cluster.clock.advance(23.9 * 3_600_000);
  await cluster.settle();
  expect((await cluster.client.get(kind, { name: "r" })).metadata.name).toBe("r");
  await cluster.clock.advance(0.2 * 3_600_000);
  await cluster.settle();
  const gone = await cluster.client.get(kind, { name: "r" }).catch((error: unknown) => isStatus(error, "NotFound"));
  expect(gone).toBe(true);
});

describe("signers", () => {
  const usages = ["client auth", "digital signature"];
  const serving = ["server auth", "digital signature", "key encipherment"];
  const named = { ...ofNode, dnsNames: ["n1"] };
  it.each<[string, CertificateRequest, readonly string[], string | undefined]>([
    ["kube-apiserver-client", ofNode, usages, undefined],
    ["kube-apiserver-client", ofNode, ["client auth"], undefined],
    ["kube-apiserver-client-kubelet", ofNode, ["client auth"], "must include"],
    ["kube-apiserver-client", ofNode, serving, "is not allowed"],
    ["kube-apiserver-client", ofNode, ["digital signature"], "must include"],
    ["kube-apiserver-client-kubelet", ofNode, usages, undefined],
    ["kube-apiserver-client-kubelet", named, usages, "subjectAltNames are not allowed"],
    ["kube-apiserver-client-kubelet", { ...ofNode, organizations: ["system:masters"] }, usages, "organization"],
    ["kube-apiserver-client-kubelet", { ...ofNode, organizations: ["system:nodes", "x"] }, usages, "organization"],
    ["kubelet-serving", named, serving, undefined],
    ["kubelet-serving", ofNode, serving, "subjectAltName is required"],
    ["kubelet-serving", { ...named, emails: ["a@b.test"] }, serving, "Email"],
    ["kubelet-serving", named, usages, "is not allowed"],
  ])("%s %j %j: %s", (name, request, uses, problem) => {
    const found = signers[`kubernetes.io/${name}`]?.(request, uses);
    if (problem === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(problem);
  });
});
