import { X509Certificate } from "node:crypto";

/** The certificates of a bundle (PEM) that can be read, each as its block: one that cannot would keep a program from all of them. */
export function readableCertificates(pem: string): string[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).filter(isReadable);
}

function isReadable(block: string): boolean {
  try {
    return new X509Certificate(block).subject !== undefined;
  } catch {
    return false;
  }
}
