import { X509Certificate } from "node:crypto";
import { keyOf } from "../../../kube/index.ts";
import { readKeyPair } from "../../../routing/index.ts";
import type { Check } from "../check.ts";

const day = 86_400_000;
/** Days before its end at which a certificate is told of: most issuers renew earlier. */
const soon = 7;

/** A certificate that clients refuse: for other names, not yet or no longer valid. */
export const ingressCertificate: Check = {
  code: "ingress-certificate",
  about: "a certificate that is not for the host, has expired or soon will",
  reads: "Ingresses, Secrets",
  *run({ cluster, routing, secret, inspect, now }) {
    for (const ingress of cluster.objects.ingresses) {
      if (!routing.served.includes(ingress)) continue;
      for (const [i, { hosts, secretName = "" }] of (ingress.spec.tls ?? []).entries()) {
        const found = secret(`${ingress.metadata.namespace ?? ""}/${secretName}`);
        const pair = found && readKeyPair(found);
        if (!pair || typeof pair === "string" || inspect(pair.certificate, pair.key) !== undefined) continue;
        const certificate = new X509Certificate(pair.certificate);
        const names = hosts?.length ? hosts : (ingress.spec.rules ?? []).flatMap(({ host }) => host ?? []);
        const base = { object: `Ingress ${keyOf(ingress)}`, field: `spec.tls[${i}]` };
        const evidence = [
          `Secret ${secretName}: for ${certificate.subjectAltName ?? certificate.subject}`,
          `valid from ${certificate.validFrom} to ${certificate.validTo}`,
        ];
        const uncovered = names.filter((name) => !covers(certificate, name));
        const end = Date.parse(certificate.validTo);
        if (end <= now) {
          const problem = `the certificate in Secret ${secretName} has expired`;
          yield { ...base, severity: "error", problem, evidence, remedy: "renew it" };
        } else if (Date.parse(certificate.validFrom) > now) {
          const problem = `the certificate in Secret ${secretName} is not valid yet`;
          yield {
            ...base,
            severity: "error",
            problem,
            evidence,
            remedy: "check the clocks, or take one that is valid",
          };
        } else if (uncovered.length > 0) {
          const problem = `the certificate in Secret ${secretName} is not for ${uncovered.join(", ")}`;
          yield { ...base, severity: "error", problem, evidence, remedy: "take a certificate that names every host" };
        } else if (end - now < soon * day) {
          const problem = `the certificate in Secret ${secretName} ends in ${Math.ceil((end - now) / day)} days`;
          yield { ...base, severity: "warning", problem, evidence, remedy: "renew it" };
        }
      }
    }
  },
};

/** A wildcard host is covered by the same wildcard only. */
function covers(certificate: X509Certificate, host: string): boolean {
  if (!host.startsWith("*.")) return certificate.checkHost(host) !== undefined;
  const names = (certificate.subjectAltName ?? "").split(", ").map((name) => name.replace(/^DNS:/, "").toLowerCase());
  return names.includes(host.toLowerCase());
}
