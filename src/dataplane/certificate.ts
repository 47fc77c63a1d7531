import { createPrivateKey, X509Certificate } from "node:crypto";
import type { InspectKeyPair } from "../routing/index.ts";
import type { KeyPair } from "./dataplane.ts";

const pem = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Says what keeps a server from using a key pair: it cannot be read, key and certificate do not belong together, or one is too weak for any
 * server to take it. An expired certificate can be used; its clients will complain about it.
 */
export const inspectKeyPair: InspectKeyPair = (certificate, key) => {
  const chain = certificate.match(pem);
  if (!chain) return "has no PEM certificate in tls.crt";
  let leaf: X509Certificate;
  try {
    const certificates = chain.map(readable) as [X509Certificate];
    [leaf] = certificates;
    for (const each of certificates) {
      const weak = weakness(each);
      if (weak !== undefined) return `has a certificate in tls.crt that no server takes: ${weak}`;
    }
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

/** A key pair as it is served: its certificates and its key, written anew, and nothing of what stood around them. Throws where `inspectKeyPair` finds fault. */
export function servedKeyPair({ certificate, key }: KeyPair): KeyPair {
  const chain = certificate.match(pem) ?? [];
  return {
    certificate: chain.map((each) => readable(each).toString()).join(""),
    key: createPrivateKey(key).export({ type: "pkcs8", format: "pem" }) as string,
  };
}

const curves = new Set(["prime256v1", "secp384r1", "secp521r1"]);

/**
 * Why OpenSSL refuses a certificate at its security level 2, which is Debian's (SSL_CTX_set_security_level(3)): a program that finds one among its
 * files does not start, and serves none of the others either.
 */
function weakness(certificate: X509Certificate): string | undefined {
  const { asymmetricKeyType: type, asymmetricKeyDetails: { modulusLength = 0, namedCurve = "" } = {} } =
    certificate.publicKey;
  if (type === "rsa" || type === "rsa-pss") {
    if (modulusLength < 2048) return `its RSA key has ${modulusLength} bits, and 2048 are needed`;
  } else if (type === "ec") {
    if (!curves.has(namedCurve)) return "its key is on a curve other than P-256, P-384 and P-521";
  } else if (type !== "ed25519" && type !== "ed448") return `its key is of type ${type ?? "unknown"}`;
  // Who signs for himself is trusted for other reasons.
  if (certificate.subject === certificate.issuer && certificate.verify(certificate.publicKey)) return undefined;
  return forgeable.some((each) => signedBy(certificate.raw).equals(each))
    ? "it is signed by way of MD5 or SHA-1"
    : undefined;
}

/** `md2`, `md4`, `md5` and `sha1WithRSAEncryption`, `ecdsa-with-SHA1`, as DER has them (RFC 3279 section 2.2). */
const forgeable = [
  "2a864886f70d010102",
  "2a864886f70d010103",
  "2a864886f70d010104",
  "2a864886f70d010105",
  "2a8648ce3d0401",
].map((hex) => Buffer.from(hex, "hex"));

/** The object identifier of a certificate's signature: what comes after the part that is signed (RFC 5280 section 4.1). */
function signedBy(der: Buffer): Buffer {
  const whole = elementAt(der, 0);
  const signed = elementAt(der, whole.begin);
  const algorithm = elementAt(der, signed.end);
  const { begin, end } = elementAt(der, algorithm.begin);
  return der.subarray(begin, end);
}

/** Where the content of an element of DER is. */
function elementAt(der: Buffer, at: number): { readonly begin: number; readonly end: number } {
  const first = der.readUInt8(at + 1);
  if (first < 0x80) return { begin: at + 2, end: at + 2 + first };
  const width = first & 0x7f;
  const begin = at + 2 + width;
  return { begin, end: begin + der.readUIntBE(at + 2, width) };
}
