import { describe, expect, it } from "vitest";
import type { CertificateSigningRequest } from "../generated/types.ts";
import { certificateSigningRequestStrategy as strategy } from "./certificate-signing-request.ts";

const now = "2024-01-01T00:00:00Z";
const pem = Buffer.from("-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n").toString(
  "base64",
);
const user = { name: "alice", uid: "u", groups: ["dev"], extra: { k: ["v"] } };

function request(spec: object = {}, status?: CertificateSigningRequest["status"]): CertificateSigningRequest {
  return {
    apiVersion: "certificates.k8s.io/v1",
    kind: "CertificateSigningRequest",
    metadata: { name: "r", uid: "1", resourceVersion: "1", creationTimestamp: now },
    spec: { request: pem, signerName: "kubernetes.io/kube-apiserver-client", usages: ["client auth"], ...spec },
    ...(status ? { status } : {}),
  };
}
const faultsOf = (object: CertificateSigningRequest) =>
  strategy.validateCreate(object, { now }).map(({ type, field }) => `${type} ${field}`);

describe("a new request", () => {
  it("is from who the server knows it to be", () => {
    const object = request({ username: "admin", groups: ["system:masters"], uid: "x", extra: { a: ["b"] } });
    strategy.prepareForCreate(object, { now, user });
    expect(object.spec).toMatchObject({ username: "alice", groups: ["dev"], uid: "u", extra: { k: ["v"] } });
    expect(object.status).toEqual({});
    expect(faultsOf(object)).toEqual([]);
  });

  it.each<[object, string]>([
    [{ request: "bm9uc2Vuc2U=" }, "Invalid spec.request"],
    [{ usages: [] }, "Required spec.usages"],
    [{ usages: ["fly"] }, "NotSupported spec.usages[0]"],
    [{ usages: ["any", "any"] }, "Duplicate spec.usages[1]"],
    [{ signerName: "" }, "Required spec.signerName"],
    [{ signerName: "nodomain" }, "Invalid spec.signerName"],
    [{ signerName: "a.b/c/d" }, "Invalid spec.signerName"],
    [{ expirationSeconds: 599 }, "Invalid spec.expirationSeconds"],
  ])("%j: %s", (spec, fault) => {
    expect(faultsOf(request(spec))).toEqual([fault]);
  });
});

describe("a change", () => {
  const approved = { type: "Approved", status: "True", reason: "Test" };
  const write = (subresource: string, old: CertificateSigningRequest, status: CertificateSigningRequest["status"]) => {
    const object = { ...request({ signerName: "example.test/other" }), status: status ?? {} };
    const context = { now, ...(subresource ? { subresource } : {}) };
    strategy.prepareForUpdate(object, old, context);
    return {
      object,
      faults: strategy.validateUpdate(object, old, context).map(({ type, field }) => `${type} ${field}`),
    };
  };

  it("never touches what is asked for", () => {
    for (const part of ["", "status", "approval"])
      expect(write(part, request(), {}).object.spec.signerName).toBe("kubernetes.io/kube-apiserver-client");
  });

  it("by approval decides, with the time, and writes no certificate", () => {
    const { object, faults } = write("approval", request(), { conditions: [approved], certificate: "eA==" });
    expect(faults).toEqual([]);
    expect(object.status).toEqual({ conditions: [{ ...approved, lastUpdateTime: now, lastTransitionTime: now }] });
  });

  it("takes no decision back and makes none twice", () => {
    const old = request({}, { conditions: [approved] });
    expect(write("approval", old, { conditions: [] }).faults).toEqual(["Forbidden status.conditions"]);
    const both = [approved, { ...approved, type: "Denied" }];
    expect(write("approval", old, { conditions: both }).faults).toEqual(["Invalid status.conditions"]);
    expect(write("approval", old, { conditions: [{ ...approved, status: "False" }] }).faults).toEqual([
      "NotSupported status.conditions[0].status",
    ]);
  });

  it("of the status neither approves nor takes an approval away", () => {
    expect(write("status", request(), { conditions: [approved] }).object.status).toEqual({});
    const old = request({}, { conditions: [approved] });
    expect(write("status", old, {}).object.status?.conditions).toMatchObject([approved]);
  });
});
