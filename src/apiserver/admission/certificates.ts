import { resources, type CertificateSigningRequest } from "../../kube/index.ts";
import type { Authorizer } from "../auth/index.ts";
import { forbidden, type Admission, type AdmissionRequest } from "../registry/index.ts";

const kind = resources.CertificateSigningRequest;
const clientSigner = "kubernetes.io/kube-apiserver-client";

/** Who may say `verb` to a signer: to it by name, or to all of its domain. */
function maySay(authorizer: Authorizer, { context }: AdmissionRequest, verb: string, signer: string): boolean {
  const [domain = ""] = signer.split("/");
  return [signer, `${domain}/*`].some((name) =>
    authorizer.allows(context.user, {
      type: "resource",
      verb,
      group: kind.group,
      resource: "signers",
      subresource: "",
      namespace: "",
      name,
    }),
  );
}

/** Requests are approved only by who may `approve` for their signer (CertificateApproval). A validating step. */
export function certificateApproval(authorizer: Authorizer): Admission {
  return (request) => {
    const { context, operation, old } = request;
    if (context.resource !== kind || context.subresource !== "approval" || operation !== "UPDATE") return;
    const { signerName } = (old as CertificateSigningRequest).spec;
    if (!maySay(authorizer, request, "approve", signerName))
      throw forbidden(
        kind,
        request.name,
        `user not permitted to approve requests with signerName ${JSON.stringify(signerName)}`,
      );
  };
}

/** Certificates are written only by who may `sign` for their signer (CertificateSigning). A validating step. */
export function certificateSigning(authorizer: Authorizer): Admission {
  return (request) => {
    const { context, operation, old, object } = request;
    if (context.resource !== kind || context.subresource !== "status" || operation !== "UPDATE" || !object) return;
    const before = old as CertificateSigningRequest;
    const after = object as CertificateSigningRequest;
    const failed = (one: CertificateSigningRequest): string =>
      JSON.stringify(one.status?.conditions?.filter(({ type }) => type === "Failed") ?? []);
    if (before.status?.certificate === after.status?.certificate && failed(before) === failed(after)) return;
    const { signerName } = before.spec;
    if (!maySay(authorizer, request, "sign", signerName))
      throw forbidden(
        kind,
        request.name,
        `user not permitted to sign requests with signerName ${JSON.stringify(signerName)}`,
      );
  };
}

/** No certificate of a client is asked for that belongs to `system:masters` (CertificateSubjectRestriction). A validating step. */
export const certificateSubjects: Admission = ({ context, operation, object, name }) => {
  if (context.resource !== kind || context.subresource !== "" || operation !== "CREATE" || !object) return undefined;
  const { spec } = object as CertificateSigningRequest;
  return spec.signerName === clientSigner ? checkSubject(spec.request, name) : undefined;
};

async function checkSubject(request: string, name: string): Promise<void> {
  // Loaded when the first request for a certificate comes.
  await import("reflect-metadata");
  const { Pkcs10CertificateRequest } = await import("@peculiar/x509");
  const pem = Buffer.from(request, "base64").toString();
  let groups: readonly string[];
  try {
    groups = new Pkcs10CertificateRequest(pem).subjectName.getField("O");
  } catch (error) {
    throw forbidden(kind, name, `unable to parse csr: ${(error as Error).message}`);
  }
  if (groups.includes("system:masters"))
    throw forbidden(kind, name, `use of ${clientSigner} signer with system:masters group is not allowed`);
}
