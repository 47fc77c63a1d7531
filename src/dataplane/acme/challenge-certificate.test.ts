import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import { challengeCertificate } from "./challenge-certificate.ts";

test("a proof is self-signed, for one name, with the hash of the key authorization in a critical extension", async () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  const authorization = "token.thumbprint";
  const { certificate, key } = await challengeCertificate("shop.test", authorization, now);
  const read = new X509Certificate(certificate);
  expect(read.subjectAltName).toBe("DNS:shop.test");
  expect(read.verify(read.publicKey)).toBe(true);
  expect(read.checkPrivateKey(createPrivateKey(key))).toBe(true);
  expect(Date.parse(read.validFrom)).toBeLessThan(now);
  expect(Date.parse(read.validTo)).toBeGreaterThan(now);
  // RFC 8737 section 3: SEQUENCE { OID 1.3.6.1.5.5.7.1.31, TRUE, OCTET STRING { OCTET STRING (32 bytes) } }
  const digest = createHash("sha256").update(authorization).digest("hex");
  expect(read.raw.toString("hex")).toContain(`303106082b0601050507011f0101ff04220420${digest}`);
});
