import { createPrivateKey, X509Certificate } from "node:crypto";
import type { InspectKeyPair } from "../routing/index.ts";

const pem = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Says what keeps a server from using a key pair: it cannot be read, or key and certificate do not belong together. An
 * expired certificate can be used; its clients will complain about it.
 */
export const inspectKeyPair: InspectKeyPair = (certificate, key) => {
  const chain = certificate.match(pem);
  if (!chain) return "has no PEM certificate in tls.crt";
  let leaf: X509Certificate;
  try {
    [leaf] = chain.map((each) => new X509Certificate(each)) as [X509Certificate];
  } catch {
    return "has a certificate in tls.crt that cannot be read";
  }
  try {
    if (!leaf.checkPrivateKey(createPrivateKey(key))) return "has a tls.key that does not belong to its tls.crt";
  } catch {
    return "has no readable, unencrypted PEM key in tls.key";
  }
  return undefined;
};

/** Remembers verdicts, since reading keys takes long; at most `size` of them. */
export function rememberingInspect(inspect: InspectKeyPair, size = 4096): InspectKeyPair {
  const verdicts = new Map<string, string | undefined>();
  return (certificate, key) => {
    const id = `${certificate}\0${key}`;
    if (verdicts.has(id)) return verdicts.get(id);
    const verdict = inspect(certificate, key);
    const [oldest] = verdicts.size >= size ? verdicts.keys() : [];
    if (oldest !== undefined) verdicts.delete(oldest);
    verdicts.set(id, verdict);
    return verdict;
  };
}

/** Says what is wrong with certificates of authorities, as PEM; `undefined` when they can be used. */
export function inspectAuthorities(text: string): string | undefined {
  const blocks = text.match(pem);
  if (!blocks) return "has no PEM certificate in ca.crt";
  try {
    blocks.forEach((block) => readable(block));
  } catch {
    return "has a certificate in ca.crt that cannot be read";
  }
  return undefined;
}

/** DNS names that a certificate (PEM, the chain with the server's own first) is made out to. */
export function certificateNames(certificate: string): string[] {
  const [leaf] = certificate.match(pem) ?? [];
  if (!leaf) return [];
  const text = new X509Certificate(leaf).subjectAltName ?? "";
  return [...text.matchAll(/(?:^|, )DNS:([A-Za-z0-9.*-]+)(?=$|,)/g)].map(([, name = ""]) => name.toLowerCase());
}

function readable(block: string): X509Certificate {
  return new X509Certificate(block);
}
