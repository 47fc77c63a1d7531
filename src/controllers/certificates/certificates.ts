import type { CertificateRequest, CertificateSigner } from "../../apiserver/index.ts";
import { startController, unless } from "../../client/index.ts";
import {
  type CertificateSigningRequest as Request,
  type CertificateSigningRequestCondition as Condition,
  type Resource,
  resources,
  type SubjectAccessReview,
} from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";
import { signers } from "./signers.ts";

const kind = resources.CertificateSigningRequest;
const kubeletSigner = "kubernetes.io/kube-apiserver-client-kubelet";
/** Seconds that a certificate holds when its request does not say. */
const usualLife = 365 * 86_400;
/** Milliseconds by which clocks of others may be slow. */
const skew = 300_000;
const hour = 3_600_000;
/** Milliseconds after which a request is removed: decided ones, and those that nobody decided. */
const decidedLife = hour;
const pendingLife = 24 * hour;

const accessReviews: Resource<SubjectAccessReview> = {
  group: "authorization.k8s.io",
  version: "v1",
  kind: "SubjectAccessReview",
  plural: "subjectaccessreviews",
  singular: "subjectaccessreview",
  namespaced: false,
  shortNames: [],
  categories: [],
  subresources: [],
};

/**
 * Looks after requests for certificates, as Kubernetes' approver, signers and cleaner: those of nodes that may ask for their own are
 * approved, approved ones of the cluster's own signers are signed by `signer`, old ones are removed.
 */
export function startCertificates(context: ControllerContext & { readonly signer: CertificateSigner }): Component {
  const { client, clock, informers, signer } = context;
  const requests = informers.of(kind);

  const reconcile = async (name: string) => {
    const request = requests.get({ name });
    if (!request) return undefined;
    const left = lifeLeft(request, clock.now());
    if (left <= 0) {
      const { uid = "" } = request.metadata;
      await unless(client.delete(kind, { name }, { preconditions: { uid } }), "NotFound", "Conflict");
      return undefined;
    }
    const written = await unless(decide(request), "Conflict", "NotFound");
    return written ? undefined : { again: Math.min(left, hour) + 1 };
  };

  /** True when the request was changed: the change brings it back here. */
  const decide = async (request: Request): Promise<boolean> => {
    const { spec, status } = request;
    const check = signers[spec.signerName];
    if (!check || status?.certificate || conditionOf(request, "Denied") || conditionOf(request, "Failed")) return false;
    const pem = Buffer.from(spec.request, "base64").toString();
    const approved = conditionOf(request, "Approved") !== undefined;
    if (!approved && spec.signerName !== kubeletSigner) return false;
    const usages = spec.usages ?? [];
    const asked = await signer.read(pem).catch((error: unknown) => String(error));
    const problem = typeof asked === "string" ? asked : check(asked, usages);
    if (!approved) return typeof asked !== "string" && problem === undefined && approve(request, asked);
    if (problem !== undefined) {
      await fail(request, problem);
      return true;
    }
    const now = clock.now();
    const notAfter = now + (spec.expirationSeconds ?? usualLife) * 1000;
    const certificate = await signer.sign(pem, { usages, notBefore: now - skew, notAfter });
    await client.updateStatus(kind, {
      ...request,
      status: { ...status, certificate: Buffer.from(certificate).toString("base64") },
    });
    return true;
  };

  const approve = async (request: Request, { commonName }: CertificateRequest): Promise<boolean> => {
    const { username = "" } = request.spec;
    const part = username === commonName ? "selfnodeclient" : "nodeclient";
    if (!(await mayAsk(request, part))) return false;
    const condition: Condition = {
      type: "Approved",
      status: "True",
      reason: "AutoApproved",
      message: `Auto approving ${part === "nodeclient" ? "kubelet client certificate" : "self kubelet client certificate"} after SubjectAccessReview.`,
    };
    const conditions = [...(request.status?.conditions ?? []), condition];
    await client.update(kind, { ...request, status: { ...request.status, conditions } }, { subresource: "approval" });
    return true;
  };

  const mayAsk = async ({ spec }: Request, subresource: string): Promise<boolean> => {
    const { username = "", uid, groups = [], extra } = spec;
    const { status } = await client.create(accessReviews, {
      metadata: { name: "" },
      spec: {
        user: username,
        groups,
        ...(uid ? { uid } : {}),
        ...(extra ? { extra } : {}),
        resourceAttributes: {
          group: kind.group,
          resource: kind.plural,
          verb: "create",
          subresource,
          version: "*",
        },
      },
    });
    return status?.allowed ?? false;
  };

  const fail = async (request: Request, message: string): Promise<void> => {
    const condition: Condition = { type: "Failed", status: "True", reason: "SignerValidationFailure", message };
    const conditions = [...(request.status?.conditions ?? []), condition];
    await client.updateStatus(kind, { ...request, status: { ...request.status, conditions } });
  };

  const controller = startController({
    ...context,
    name: "certificates",
    reconcile,
    after: [requests.synced],
  });
  requests.onChange(({ after }) => {
    if (after) controller.enqueue(after.metadata.name);
  });
  return controller;
}

function conditionOf({ status }: Request, type: string): Condition | undefined {
  return status?.conditions?.find((condition) => condition.type === type);
}

/** Milliseconds until a request is removed. */
export function lifeLeft(request: Request, now: number): number {
  const decided = ["Approved", "Denied", "Failed"].flatMap((type) => conditionOf(request, type) ?? []);
  const times = decided
    .map(({ lastUpdateTime = "" }) => Date.parse(lastUpdateTime))
    .filter((time) => !Number.isNaN(time));
  const { certificate } = request.status ?? {};
  const approvedUnsigned = conditionOf(request, "Approved") !== undefined && !certificate;
  if (times.length > 0 && !approvedUnsigned) return Math.max(...times) + decidedLife - now;
  return Date.parse(request.metadata.creationTimestamp ?? "") + pendingLife - now;
}
