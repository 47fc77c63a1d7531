import { webcrypto, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import "reflect-metadata";
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from "@peculiar/x509";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FakeClock } from "../../system/index.ts";
import { openPki, type Pki } from "./pki.ts";

let dir: string;
let pki: Pki;
const clock = new FakeClock();
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "pki-"));
  pki = await openPki(dir, clock);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const ecdsa = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const rsa = {
  name: "RSASSA-PKCS1-v1_5",
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash: "SHA-256",
};

async function request(algorithm: typeof ecdsa | typeof rsa, name: string): Promise<string> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const made = await Pkcs10CertificateRequestGenerator.create({
    name,
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new SubjectAlternativeNameExtension([
        { type: "dns", value: "n1.test" },
        { type: "ip", value: "192.0.2.1" },
      ]),
    ],
  });
  return made.toString("pem");
}

describe("a request for a certificate", () => {
  it.each([
    ["ECDSA", ecdsa],
    ["RSA", rsa],
  ])("with a key of %s is read and signed", async (_name, algorithm) => {
    const pem = await request(algorithm, "O=dev, O=ops, CN=alice");
    expect(await pki.signer.read(pem)).toEqual({
      commonName: "alice",
      organizations: ["dev", "ops"],
      dnsNames: ["n1.test"],
      addresses: ["192.0.2.1"],
      emails: [],
      uris: [],
    });
    const notAfter = clock.now() + 3_600_000;
    const usages = ["client auth", "digital signature"];
    const certificate = new X509Certificate(await pki.signer.sign(pem, { usages, notBefore: clock.now(), notAfter }));
    expect(certificate.verify(new X509Certificate(pki.ca).publicKey)).toBe(true);
    expect(certificate.subject.split("\n")).toEqual(["O=dev", "O=ops", "CN=alice"]);
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]);
    expect(certificate.ca).toBe(false);
    expect(certificate.subjectAltName).toContain("n1.test");
    expect(Date.parse(certificate.validTo)).toBe(Math.floor(notAfter / 1000) * 1000);
  });

  it("never outlives the authority", async () => {
    const pem = await request(ecdsa, "CN=alice");
    const options = { usages: ["client auth"], notBefore: clock.now(), notAfter: clock.now() + 100 * 365 * 86_400_000 };
    const certificate = new X509Certificate(await pki.signer.sign(pem, options));
    expect(Date.parse(certificate.validTo)).toBe(Date.parse(new X509Certificate(pki.ca).validTo));
  });

  it("is refused when its signature is another's, or it is none", async () => {
    const bytes = Buffer.from((await request(ecdsa, "CN=alice")).replace(/-----[A-Z ]+-----/g, ""), "base64");
    const at = bytes.indexOf("alice");
    bytes.write("mallo", at);
    const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${bytes.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
    await expect(pki.signer.read(forged)).rejects.toThrow("not by its own key");
    await expect(pki.signer.read("nonsense")).rejects.toThrow();
  });
});
