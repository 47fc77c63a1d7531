import { X509Certificate } from "node:crypto";
import { type Ingress, keyOf } from "../../kube/index.ts";
import { readKeyPair } from "../../routing/index.ts";
import type { Secret } from "../../kube/index.ts";

/** `"true"` on an Ingress: its certificates are got by ACME. The second is what other controllers call it. */
export const acmeAnnotations = ["fairlead.dev/acme", "kubernetes.io/tls-acme"] as const;

/** On Secrets that were made by ACME: the directory of who issued it. Others are never written. */
export const issuerAnnotation = "fairlead.dev/acme-directory";

/** A certificate that Ingresses ask for. */
export interface WantedCertificate {
  readonly namespace: string;
  /** Of its Secret. */
  readonly name: string;
  /** DNS names, in order. */
  readonly hosts: readonly string[];
  readonly ingresses: readonly Ingress[];
}

/** A name that no certificate is got for, and the Ingress that asks for it. */
export interface UnprovableHost {
  readonly ingress: Ingress;
  readonly field: string;
  readonly host: string;
  readonly why: string;
}

export interface Wanted {
  /** By `namespace/name` of the Secret. */
  readonly certificates: ReadonlyMap<string, WantedCertificate>;
  readonly unprovable: readonly UnprovableHost[];
}

/** Names of one certificate; authorities take 100 at most. */
const mostHosts = 100;

/**
 * What Ingresses, oldest first, ask for by `spec.tls`: entries of one Secret are one certificate. A host is that of the namespace whose
 * Ingress had it first: another one could prove it as well, and must not have its certificate.
 */
export function wantedCertificates(ingresses: readonly Ingress[]): Wanted {
  const drafts = new Map<string, { namespace: string; name: string; hosts: Set<string>; ingresses: Ingress[] }>();
  const unprovable: UnprovableHost[] = [];
  const owners = new Map<string, string>();
  for (const { metadata, spec } of ingresses)
    for (const { host = "" } of spec.rules ?? []) if (!owners.has(host)) owners.set(host, metadata.namespace ?? "");
  for (const ingress of ingresses) {
    if (!acmeAnnotations.some((name) => ingress.metadata.annotations?.[name] === "true")) continue;
    const namespace = ingress.metadata.namespace ?? "";
    for (const [index, { secretName, hosts }] of (ingress.spec.tls ?? []).entries()) {
      if (!secretName) continue;
      const key = `${namespace}/${secretName}`;
      const named = hosts ?? (ingress.spec.rules ?? []).flatMap(({ host }) => host ?? []);
      for (const host of named) {
        const why = !isProvable(host)
          ? "cannot be proved by HTTP-01, which takes whole DNS names"
          : (owners.get(host) ?? namespace) === namespace
            ? undefined
            : "belongs to another namespace, whose Ingress is older";
        if (why !== undefined) {
          unprovable.push({ ingress, field: `spec.tls[${index}]`, host, why });
          continue;
        }
        let draft = drafts.get(key);
        if (!draft) drafts.set(key, (draft = { namespace, name: secretName, hosts: new Set(), ingresses: [] }));
        if (draft.hosts.size < mostHosts) draft.hosts.add(host);
        if (!draft.ingresses.includes(ingress)) draft.ingresses.push(ingress);
      }
    }
  }
  const certificates = new Map<string, WantedCertificate>();
  for (const [key, draft] of drafts) certificates.set(key, { ...draft, hosts: [...draft.hosts].sort() });
  return { certificates, unprovable };
}

/** A whole DNS name of several labels: no wildcard, no address. */
function isProvable(host: string): boolean {
  return (
    /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(host) && host.length <= 253
  );
}

/** What is to be done about a certificate now. */
export type Step =
  | { readonly act: "issue"; readonly why: string }
  /** Nothing, until then (milliseconds since the epoch). */
  | { readonly act: "wait"; readonly until: number }
  /** Its Secret is somebody else's. */
  | { readonly act: "leave"; readonly why: string };

/** Looks at the Secret as it is. A certificate is renewed when a third of its life is left. */
export function nextStep(wanted: WantedCertificate, secret: Secret | undefined, directory: string, now: number): Step {
  if (!secret) return { act: "issue", why: "there is none yet" };
  const issuer = secret.metadata.annotations?.[issuerAnnotation];
  if (issuer === undefined)
    return { act: "leave", why: `Secret ${keyOf(secret)} was not made by ACME; delete it to have one made` };
  const pair = readKeyPair(secret);
  const leaf = typeof pair === "string" ? undefined : readable(pair.certificate);
  if (!leaf) return { act: "issue", why: "it cannot be read" };
  if (issuer !== directory) return { act: "issue", why: "it is another authority's" };
  const missing = wanted.hosts.find((host) => leaf.checkHost(host) === undefined);
  if (missing !== undefined) return { act: "issue", why: `it is not for ${missing}` };
  const [from, to] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)];
  const renewal = to - (to - from) / 3;
  return now >= renewal ? { act: "issue", why: "it ends soon" } : { act: "wait", until: renewal };
}

function readable(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    // Whoever wrote it: a new one takes its place.
    return undefined;
  }
}
