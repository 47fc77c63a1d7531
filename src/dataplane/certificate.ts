import { createPrivateKey, randomBytes, webcrypto, X509Certificate } from "node:crypto";
import type { InspectKeyPair } from "../routing/index.ts";
import type { KeyPair } from "./dataplane.ts";

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

const year = 365 * 86_400_000;

const defaultName = "default.fairlead.invalid";

/** A key pair that no client trusts, for names that have no certificate: the handshake ends well and says so. */
export async function selfSigned(now: number, names: readonly string[] = [defaultName]): Promise<KeyPair> {
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  const keys = await webcrypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: `00${randomBytes(16).toString("hex")}`,
    name: "CN=Fairlead default certificate, O=Fairlead",
    notBefore: new Date(now - 86_400_000),
    notAfter: new Date(now + year),
    signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    keys,
    extensions: [
      new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: "dns", value }))),
      new x509.BasicConstraintsExtension(false, undefined, true),
    ],
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  return {
    certificate: certificate.toString("pem"),
    key: `-----BEGIN PRIVATE KEY-----\n${key.match(/.{1,64}/g)?.join("\n") ?? ""}\n-----END PRIVATE KEY-----\n`,
  };
}
