import type { CertificateRequest } from "../../apiserver/index.ts";

const clientUsages = ["client auth", "digital signature", "key encipherment"];
const servingUsages = ["server auth", "digital signature", "key encipherment"];

/** Signers that this cluster has, each with why it would not sign a request; undefined: it would. */
export const signers: Readonly<
  Record<string, (request: CertificateRequest, usages: readonly string[]) => string | undefined>
> = {
  "kubernetes.io/kube-apiserver-client": (_request, usages) => usageFault(usages, ["client auth"], clientUsages),
  "kubernetes.io/kube-apiserver-client-kubelet": (request, usages) =>
    nodeFault(request) ??
    (request.dnsNames.length + request.addresses.length + request.emails.length + request.uris.length > 0
      ? "subjectAltNames are not allowed"
      : undefined) ??
    usageFault(usages, ["client auth", "digital signature"], clientUsages),
  "kubernetes.io/kubelet-serving": (request, usages) =>
    nodeFault(request) ??
    (request.dnsNames.length + request.addresses.length === 0 ? "DNS or IP subjectAltName is required" : undefined) ??
    (request.emails.length > 0 ? "Email subjectAltNames are not allowed" : undefined) ??
    (request.uris.length > 0 ? "URI subjectAltNames are not allowed" : undefined) ??
    usageFault(usages, ["server auth", "digital signature"], servingUsages),
  "kubernetes.io/legacy-unknown": () => undefined,
};

function nodeFault({ commonName, organizations }: CertificateRequest): string | undefined {
  if (organizations.length !== 1 || organizations[0] !== "system:nodes")
    return "subject organization is not system:nodes";
  return commonName.startsWith("system:node:") && commonName !== "system:node:"
    ? undefined
    : "subject common name does not begin with system:node:";
}

function usageFault(
  usages: readonly string[],
  needed: readonly string[],
  allowed: readonly string[],
): string | undefined {
  const strange = usages.find((usage) => !allowed.includes(usage));
  if (strange !== undefined) return `usage ${JSON.stringify(strange)} is not allowed: use ${allowed.join(", ")}`;
  return needed.every((usage) => usages.includes(usage))
    ? undefined
    : `usages must include ${needed.map((usage) => JSON.stringify(usage)).join(" and ")}`;
}
