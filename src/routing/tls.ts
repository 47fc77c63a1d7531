import type { Ingress, IngressTLS, Secret } from "../kube/index.ts";
import { isRuleHost } from "./host.ts";
import type { Certificate, Owner } from "./model.ts";
import { refOf, textOf } from "./owner.ts";
import type { Problem } from "./problem.ts";

/** Says what is wrong with a PEM certificate chain and its private key; `undefined` when a server can use them. */
export type InspectKeyPair = (certificate: string, key: string) => string | undefined;

/** The same for a Secret. */
export type InspectSecret = (secret: Secret, inspect: InspectKeyPair) => string | undefined;

/** Says what is wrong with the key pair of a `kubernetes.io/tls` Secret. */
export const inspectSecret: InspectSecret = (secret, inspect) => {
  const pair = readKeyPair(secret);
  return typeof pair === "string" ? pair : inspect(pair.certificate, pair.key);
};

export interface TlsInput {
  /** By `namespace/name`. */
  readonly secret: (key: string) => Secret | undefined;
  readonly inspect: (secret: Secret) => string | undefined;
  /** Secret, as `namespace/name`, for names that no Ingress has one for. */
  readonly defaultCertificate?: string;
}

export interface TlsTable {
  readonly certificates: ReadonlyMap<string, Certificate>;
  readonly problems: readonly Problem[];
}

/**
 * The certificates that Ingresses ask for, by server name. `ingresses` is oldest first: who comes first keeps a name.
 * A `tls` entry without hosts covers the hosts of the Ingress's rules, or any name when a rule has none.
 */
export function readTls(ingresses: readonly Ingress[], input: TlsInput): TlsTable {
  const certificates = new Map<string, Certificate>();
  const problems: Problem[] = [];
  for (const ingress of ingresses) {
    for (const [index, tls] of (ingress.spec.tls ?? []).entries()) {
      readEntry(ingress, tls, `spec.tls[${index}]`);
    }
  }
  if (input.defaultCertificate !== undefined) readDefault(input.defaultCertificate);
  return { certificates, problems };

  function readDefault(key: string): void {
    const secret = input.secret(key);
    const wrong = secret && input.inspect(secret);
    const [namespace = "", name = ""] = key.split("/");
    const object = { kind: "Secret", namespace, name };
    if (!secret || wrong !== undefined)
      problems.push({
        object,
        field: "data",
        reason: wrong ? "InvalidCertificate" : "SecretNotFound",
        message: `Secret ${key}, the default certificate, ${wrong ?? "does not exist"}; a self-signed one is served`,
        remedy: `kubectl create secret tls ${name} --namespace ${namespace} --cert=FILE --key=FILE`,
      });
    else if (!certificates.has("")) certificates.set("", certificateOf("", secret, { object, field: "data" }));
  }

  function readEntry(ingress: Ingress, tls: IngressTLS, field: string): void {
    const object = refOf(ingress);
    const namespace = ingress.metadata.namespace ?? "";
    // Without a Secret the hosts are served with the default certificate.
    if (!tls.secretName) return;
    const secret = input.secret(`${namespace}/${tls.secretName}`);
    const wrong = secret && input.inspect(secret);
    if (!secret || wrong !== undefined) {
      problems.push({
        object,
        field: `${field}.secretName`,
        reason: wrong ? "InvalidCertificate" : "SecretNotFound",
        message: `Secret ${namespace}/${tls.secretName} ${wrong ?? "does not exist"}; its hosts get the default certificate`,
        remedy: `kubectl create secret tls ${tls.secretName} --namespace ${namespace} --cert=FILE --key=FILE`,
      });
      return;
    }
    for (const { name, field: where } of namesOf(ingress, tls, field)) {
      const before = certificates.get(name);
      if (before) {
        if (before.secret.namespace === namespace && before.secret.name === tls.secretName) continue;
        problems.push({
          object,
          field: where,
          reason: "Conflict",
          message: `${textOf(before.owner.object)} is older and serves ${name || "all other names"} with Secret ${before.secret.namespace}/${before.secret.name}`,
          remedy: "use the same Secret, or leave the host to one Ingress",
        });
        continue;
      }
      certificates.set(name, certificateOf(name, secret, { object, field: `${field}.secretName` }));
    }
  }
}

function certificateOf(hostname: string, secret: Secret, owner: Owner): Certificate {
  const version = `${secret.metadata.uid ?? ""}/${secret.metadata.resourceVersion ?? ""}`;
  return { hostname, secret: refOf(secret), version, owner };
}

/** Certificate chain and key of a `kubernetes.io/tls` Secret as PEM, or what is wrong with it. */
export function readKeyPair(secret: Secret): { certificate: string; key: string } | string {
  const part = (name: string): string => Buffer.from(secret.data?.[name] ?? "", "base64").toString("latin1");
  const [certificate, key] = [part("tls.crt"), part("tls.key")];
  if (!certificate) return "has no data tls.crt";
  if (!key) return "has no data tls.key";
  return { certificate, key };
}

function namesOf(ingress: Ingress, tls: IngressTLS, field: string): { name: string; field: string }[] {
  if (tls.hosts && tls.hosts.length > 0)
    return tls.hosts
      .map((host, index) => ({ name: host, field: `${field}.hosts[${index}]` }))
      .filter(({ name }) => isRuleHost(name));
  const hosts = (ingress.spec.rules ?? []).map((rule) => rule.host ?? "");
  const names = hosts.length === 0 ? [""] : [...new Set(hosts)];
  return names.filter((name) => name === "" || isRuleHost(name)).map((name) => ({ name, field }));
}
