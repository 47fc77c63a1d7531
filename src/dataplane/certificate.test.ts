import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { inspectKeyPair, rememberingInspect } from "./certificate.ts";
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
