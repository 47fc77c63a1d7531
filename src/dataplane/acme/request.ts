import { webcrypto } from "node:crypto";

/** Of all keys that are made here. */
export const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** A new key, PEM (PKCS #8), and a request for a certificate for DNS names (PKCS #10, base64url of its DER). */
export async function requestFor(hosts: readonly string[]): Promise<{ request: string; key: string }> {
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    // The subject is optional, and names longer than 64 letters have no place there.
    name: "",
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension(hosts.map((value) => ({ type: "dns", value })))],
  });
  return { request: Buffer.from(request.rawData).toString("base64url"), key: await pemOf(keys.privateKey) };
}

/** A new key for an account. */
export async function newAccountKey(): Promise<string> {
  return pemOf((await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])).privateKey);
}

/** PKCS #8, PEM. */
export async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key)).toString("base64");
  return `-----BEGIN PRIVATE KEY-----\n${der.match(/.{1,64}/g)?.join("\n") ?? ""}\n-----END PRIVATE KEY-----\n`;
}
