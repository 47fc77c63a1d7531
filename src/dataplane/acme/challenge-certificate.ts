import { createHash, webcrypto } from "node:crypto";
import type { KeyPair } from "../dataplane.ts";
import { algorithm, pemOf } from "./request.ts";

/** id-pe-acmeIdentifier (RFC 8737 section 6.1). */
const acmeIdentifier = "1.3.6.1.5.5.7.1.31";
/** What comes before the 32 bytes of an OCTET STRING in DER. */
const octetsOf32 = Buffer.from([0x04, 32]);
const day = 86_400_000;

/**
 * The certificate by which a name is proved (RFC 8737 section 3): self-signed, for that name alone, with the SHA-256 of the key
 * authorization in a critical extension. Nobody else can take it for anything; `now` in milliseconds.
 */
export async function challengeCertificate(host: string, keyAuthorization: string, now: number): Promise<KeyPair> {
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const digest = createHash("sha256").update(keyAuthorization).digest();
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=ACME challenge",
    notBefore: new Date(now - day),
    notAfter: new Date(now + day),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.SubjectAlternativeNameExtension([{ type: "dns", value: host }]),
      new x509.Extension(acmeIdentifier, true, Buffer.concat([octetsOf32, digest])),
    ],
  });
  return { certificate: `${made.toString("pem")}\n`, key: await pemOf(keys.privateKey) };
}
