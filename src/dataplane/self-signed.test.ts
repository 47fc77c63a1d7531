import { createPrivateKey, X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import { selfSigned } from "./self-signed.ts";

test("makes a certificate that others can read and that its key belongs to", () => {
  const now = Date.UTC(2030, 5, 1);
  const names = ["a.test", "*.b.test", `${"x".repeat(60)}.test`, `${"y".repeat(60)}.test`, `${"z".repeat(60)}.test`];
  const { certificate, key } = selfSigned(now, names);
  const read = new X509Certificate(certificate);
  expect(read.subjectAltName).toBe(names.map((name) => `DNS:${name}`).join(", "));
  expect(read.subject).toBe("CN=Fairlead default certificate");
  expect(read.issuer).toBe(read.subject);
  expect(read.ca).toBe(false);
  expect(read.verify(read.publicKey)).toBe(true);
  expect(read.checkPrivateKey(createPrivateKey(key))).toBe(true);
  expect(new Date(read.validFrom).getTime()).toBe(now - 86_400_000);
  expect(new Date(read.validTo).getTime()).toBe(now + 365 * 86_400_000);
  expect(read.checkHost("a.test")).toBe("a.test");
});

test("no two have the same serial number", () => {
  const serial = () => new X509Certificate(selfSigned(0).certificate).serialNumber;
  expect(new Set(Array.from({ length: 20 }, serial)).size).toBe(20);
});
