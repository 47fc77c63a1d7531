import { type ConfigMap, keyOf, type Secret } from "../../kube/index.ts";
import type { Certificate, Owner } from "../model.ts";
import { refOf } from "../owner.ts";
import { type InspectKeyPair, readKeyPair } from "../tls.ts";
import type { RefFault } from "./conditions.ts";
import type { Permits } from "./grants.ts";
import { type AnyRef, gatewayGroup } from "./types.ts";

/** What certificates and authorities are read with. Look-ups are by `namespace/name`. */
export interface References {
  readonly permits: Permits;
  readonly secret: (key: string) => Secret | undefined;
  readonly configMap: (key: string) => ConfigMap | undefined;
  readonly inspect: InspectKeyPair;
  /** What is wrong with PEM certificates of authorities; `undefined` when they can be used. */
  readonly inspectAuthorities: (pem: string) => string | undefined;
}

/** Who refers. */
export interface Referrer {
  readonly kind: string;
  readonly namespace: string;
}

/** The certificate that a reference to a Secret means. */
export function readCertificate(
  references: References,
  referrer: Referrer,
  ref: AnyRef,
  owner: Owner,
): Certificate | RefFault {
  const { group = "", kind = "Secret", namespace = referrer.namespace, name } = ref;
  const invalid = (message: string): RefFault => ({ reason: "InvalidCertificateRef", message });
  if (group !== "" || kind !== "Secret") return invalid(`${owner.field} refers to ${kind}.${group}, not to a Secret`);
  const from = { group: gatewayGroup, ...referrer };
  if (!references.permits({ from, to: { group: "", kind: "Secret", namespace, name } }))
    return {
      reason: "RefNotPermitted",
      message: `no ReferenceGrant in namespace ${namespace} allows ${owner.field} to refer to Secret ${namespace}/${name}`,
    };
  const secret = references.secret(`${namespace}/${name}`);
  if (!secret) return invalid(`Secret ${namespace}/${name} (${owner.field}) does not exist`);
  const pair = readKeyPair(secret);
  const wrong = typeof pair === "string" ? pair : references.inspect(pair.certificate, pair.key);
  if (wrong !== undefined) return invalid(`Secret ${keyOf(secret)} (${owner.field}) ${wrong}`);
  const version = `${secret.metadata.uid ?? ""}/${secret.metadata.resourceVersion ?? ""}`;
  return { hostname: "", secret: refOf(secret), version, owner };
}

/** Reasons that differ from kind to kind of object. */
export interface AuthorityReasons {
  readonly kind: string;
  readonly ref: string;
}

/** PEM of the authorities that references to ConfigMaps mean, those that are good; and what is wrong with the others. */
export function readAuthorities(
  references: References,
  referrer: Referrer,
  refs: readonly AnyRef[],
  field: string,
  reasons: AuthorityReasons,
): { readonly pem: string; readonly faults: readonly RefFault[] } {
  const faults: RefFault[] = [];
  const pems: string[] = [];
  for (const [index, ref] of refs.entries()) {
    const { group = "", kind = "ConfigMap", namespace = referrer.namespace, name } = ref;
    const where = `${field}[${index}]`;
    if (group !== "" || kind !== "ConfigMap") {
      faults.push({ reason: reasons.kind, message: `${where} refers to ${kind}.${group}, not to a ConfigMap` });
      continue;
    }
    const from = { group: gatewayGroup, ...referrer };
    if (!references.permits({ from, to: { group: "", kind: "ConfigMap", namespace, name } })) {
      const message = `no ReferenceGrant in namespace ${namespace} allows ${where} to refer to ConfigMap ${namespace}/${name}`;
      faults.push({ reason: "RefNotPermitted", message });
      continue;
    }
    const pem = references.configMap(`${namespace}/${name}`)?.data?.["ca.crt"];
    const wrong = pem === undefined ? "does not exist or has no data ca.crt" : references.inspectAuthorities(pem);
    if (pem === undefined || wrong !== undefined)
      faults.push({ reason: reasons.ref, message: `ConfigMap ${namespace}/${name} (${where}) ${wrong ?? ""}` });
    else pems.push(pem.trim());
  }
  return { pem: pems.join("\n"), faults };
}
