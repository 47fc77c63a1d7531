import { X509Certificate } from "node:crypto";
import { keyOf, type Secret } from "../../kube/index.ts";
import { type ChallengeType, readKeyPair } from "../../routing/index.ts";
import type { Ask, Asker } from "./asks.ts";

/** On Secrets that were made by ACME: the directory of who issued it. Others are never written. */
export const issuerAnnotation = "fairlead.dev/acme-directory";

/** A certificate that is asked for. */
export interface WantedCertificate {
  readonly namespace: string;
  /** Of its Secret. */
  readonly name: string;
  /** DNS names, in order. */
  readonly hosts: readonly string[];
  /** How each is proved: as who asked first says. */
  readonly types: ReadonlyMap<string, ChallengeType>;
  /** Who asks for it, and for which of the names. */
  readonly askers: ReadonlyMap<Asker, ReadonlySet<string>>;
}

/** A name that no certificate is got for. */
export type Unprovable = Ask & { readonly why: string };

export interface Wanted {
  /** By `namespace/name` of the Secret. */
  readonly certificates: ReadonlyMap<string, WantedCertificate>;
  readonly unprovable: readonly Unprovable[];
}

/** Names of one certificate; authorities take 100 at most. */
const mostHosts = 100;

/** What is asked for, by Secret: all names that are asked for in one are one certificate. */
export function wantedCertificates(asked: Iterable<Ask>): Wanted {
  const drafts = new Map<
    string,
    { namespace: string; name: string; askers: Map<Asker, Set<string>>; types: Map<string, ChallengeType> }
  >();
  const unprovable: Unprovable[] = [];
  for (const ask of asked) {
    const { asker, secretName: name, host, type } = ask;
    const namespace = asker.metadata.namespace ?? "";
    const why = isProvable(host) ? ask.why : `cannot be proved by ${type.toUpperCase()}, which takes whole DNS names`;
    if (why !== undefined) {
      unprovable.push({ ...ask, why });
      continue;
    }
    const key = `${namespace}/${name}`;
    let draft = drafts.get(key);
    if (!draft) drafts.set(key, (draft = { namespace, name, askers: new Map(), types: new Map() }));
    if (draft.types.size >= mostHosts && !draft.types.has(host)) continue;
    if (!draft.types.has(host)) draft.types.set(host, type);
    draft.askers.set(asker, (draft.askers.get(asker) ?? new Set()).add(host));
  }
  const certificates = new Map<string, WantedCertificate>();
  for (const [key, draft] of drafts) certificates.set(key, { ...draft, hosts: [...draft.types.keys()].sort() });
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
