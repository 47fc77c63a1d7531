import "reflect-metadata";
import { generateKeyPairSync, type webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { expect, test } from "vitest";
import { inspectKeyPair, rememberingInspect, servedKeyPair } from "./certificate.ts";
import { selfSigned } from "./self-signed.ts";

const one = selfSigned(Date.now());
const two = selfSigned(Date.now());
const encrypted = generateKeyPairSync("ec", {
  namedCurve: "P-256",
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" },
}).privateKey;

test.each<[what: string, certificate: string, key: string, wrong: RegExp | undefined]>([
  ["a pair", one.certificate, one.key, undefined],
  ["a chain", one.certificate + two.certificate, one.key, undefined],
  ["text around it", `Subject: x\n${one.certificate}\n`, one.key, undefined],
  ["a chain with the wrong one first", two.certificate + one.certificate, one.key, /does not belong/],
  ["a key of another", one.certificate, two.key, /does not belong/],
  ["no certificate", "", one.key, /no PEM certificate/],
  ["a key for a certificate", one.key, one.key, /no PEM certificate/],
  [
    "a spoilt certificate",
    one.certificate.replace(/[A-Za-z]{20}/, "AAAAAAAAAAAAAAAAAAAA"),
    one.key,
    /cannot be read|does not belong/,
  ],
  [
    "a second certificate that is spoilt",
    `${one.certificate}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
    one.key,
    /cannot be read/,
  ],
  ["no key", one.certificate, "", /no readable/],
  ["an encrypted key", one.certificate, encrypted, /unencrypted/],
])("%s", (_what, certificate, key, wrong) => {
  const verdict = inspectKeyPair(certificate, key);
  if (wrong) expect(verdict).toMatch(wrong);
  else expect(verdict).toBeUndefined();
});

test("verdicts are remembered, and not without bound", () => {
  let looked = 0;
  const inspect = rememberingInspect(() => {
    looked++;
    return undefined;
  }, 2);
  for (const key of ["a", "a", "b", "a", "c", "b"]) inspect("certificate", key);
  expect(looked).toBe(3);
  inspect("certificate", "a");
  expect(looked).toBe(4);
});

const rsa = (bits: number, hash: string) => ({
  name: "RSASSA-PKCS1-v1_5",
  modulusLength: bits,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash,
});

/** A certificate with such a key, signed by itself or in such a way by another. */
async function certificateWith(
  own: webcrypto.EcKeyGenParams | webcrypto.RsaHashedKeyGenParams,
  by?: webcrypto.RsaHashedKeyGenParams,
): Promise<{ certificate: string; key: string }> {
  const keys = await crypto.subtle.generateKey(own, true, ["sign", "verify"]);
  const signer = by && (await crypto.subtle.generateKey(by, true, ["sign", "verify"]));
  const made = await x509.X509CertificateGenerator.create({
    subject: "CN=a",
    issuer: signer ? "CN=authority" : "CN=a",
    publicKey: keys.publicKey,
    signingKey: (signer ?? keys).privateKey,
    signingAlgorithm: by ?? { ...own, hash: "SHA-256" },
  });
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  return { certificate: made.toString("pem"), key };
}

test.each<
  [
    what: string,
    own: webcrypto.EcKeyGenParams | webcrypto.RsaHashedKeyGenParams,
    by: webcrypto.RsaHashedKeyGenParams | undefined,
    wrong: RegExp | undefined,
  ]
>([
  ["RSA of 2048 bits", rsa(2048, "SHA-256"), undefined, undefined],
  ["RSA of 1024 bits", rsa(1024, "SHA-256"), undefined, /1024 bits/],
  ["P-384", { name: "ECDSA", namedCurve: "P-384" }, undefined, undefined],
  ["signed with SHA-256", rsa(2048, "SHA-256"), rsa(2048, "SHA-256"), undefined],
  ["signed with SHA-1", rsa(2048, "SHA-256"), rsa(2048, "SHA-1"), /SHA-1/],
])("%s", async (_what, own, by, wrong) => {
  const { certificate, key } = await certificateWith(own, by);
  const verdict = inspectKeyPair(certificate, key);
  if (wrong) expect(verdict).toMatch(wrong);
  else expect(verdict).toBeUndefined();
  // Nobody makes a chain better by putting another one first.
  if (wrong) expect(inspectKeyPair(one.certificate + certificate, one.key)).toMatch(wrong);
});

test("what is served of a key pair is its certificates and its key", () => {
  const noise = "x;\n-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
  const served = servedKeyPair({
    certificate: `${noise}${one.certificate}${noise}${two.certificate}\0`,
    key: `${noise}${one.key}${two.certificate}`,
  });
  expect(served.certificate).toBe(one.certificate + two.certificate);
  expect(served.key).toBe(one.key);
});
