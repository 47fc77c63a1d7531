import { randomBytes, webcrypto } from "node:crypto";
import type { KeyPair } from "./authority.ts";

/** What a request for a certificate (PKCS #10) asks for. */
export interface CertificateRequest {
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly dnsNames: readonly string[];
  readonly addresses: readonly string[];
  readonly emails: readonly string[];
  readonly uris: readonly string[];
}

export interface SigningOptions {
  /** Uses in Kubernetes' words, for example `client auth`. Those that no extension has are left out. */
  readonly usages: readonly string[];
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Signs requests of others, and reads them. */
export interface CertificateSigner {
  /** Throws Error for what is no request, or whose signature is not its own key's. `pem` is text. */
  read(pem: string): Promise<CertificateRequest>;
  /** The certificate, PEM, with subject, names and key of the request. Throws as `read`. */
  sign(pem: string, options: SigningOptions): Promise<string>;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

async function library() {
  await import("reflect-metadata");
  return import("@peculiar/x509");
}

export function createSigner(authority: KeyPair): CertificateSigner {
  const open = async (pem: string) => {
    const x509 = await library();
    const request = new x509.Pkcs10CertificateRequest(pem);
    if (!(await request.verify())) throw new Error("the signature of the request is not by its own key");
    const { SubjectAlternativeNameExtension } = x509;
    const [extension] = request.extensions.filter((one) => one instanceof SubjectAlternativeNameExtension);
    return { x509, request, names: extension?.names.items ?? [] };
  };
  return {
    async read(pem) {
      const { request, names } = await open(pem);
      const of = (type: string): string[] => names.filter((name) => name.type === type).map(({ value }) => value);
      return {
        commonName: request.subjectName.getField("CN").at(-1) ?? "",
        organizations: request.subjectName.getField("O"),
        dnsNames: of("dns"),
        addresses: of("ip"),
        emails: of("email"),
        uris: of("url"),
      };
    },
    async sign(pem, { usages, notBefore, notAfter }) {
      const { x509, request, names } = await open(pem);
      const issuer = new x509.X509Certificate(authority.cert);
      const key = Buffer.from(authority.key.replace(/-----[A-Z ]+-----/g, ""), "base64");
      const signingKey = await webcrypto.subtle.importKey("pkcs8", key, algorithm, false, ["sign"]);
      const serial = randomBytes(16);
      // A serial number is positive (RFC 5280 section 4.1.2.2).
      serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
      const flags = usages.reduce((sum, usage) => sum | (keyUsages[usage] ?? 0), 0);
      const extended = usages.flatMap((usage) => extendedUsages[usage] ?? []);
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: serial.toString("hex"),
        notBefore: new Date(notBefore),
        notAfter: new Date(Math.min(notAfter, issuer.notAfter.getTime())),
        signingAlgorithm: algorithm,
        subject: request.subjectName,
        issuer: issuer.subjectName,
        publicKey: request.publicKey,
        signingKey,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          // Several flags are a sum of them: the library takes it, its type knows each alone.
          // oxlint-disable-next-line typescript/no-unsafe-enum-assignment
          ...(flags ? [new x509.KeyUsagesExtension(flags, true)] : []),
          ...(extended.length > 0 ? [new x509.ExtendedKeyUsageExtension(extended)] : []),
          await x509.AuthorityKeyIdentifierExtension.create(issuer, false),
          ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension([...names])] : []),
        ],
      });
      return `${certificate.toString("pem")}\n`;
    },
  };
}

/** Bits of the extension key usage (RFC 5280 section 4.2.1.3). */
const keyUsages: Readonly<Record<string, number>> = {
  signing: 1,
  "digital signature": 1,
  "content commitment": 2,
  "key encipherment": 4,
  "data encipherment": 8,
  "key agreement": 16,
  "cert sign": 32,
  "crl sign": 64,
  "encipher only": 128,
  "decipher only": 256,
};

/** Object identifiers of the extension extended key usage (RFC 5280 section 4.2.1.12). */
const extendedUsages: Readonly<Record<string, string>> = {
  any: "2.5.29.37.0",
  "server auth": "1.3.6.1.5.5.7.3.1",
  "client auth": "1.3.6.1.5.5.7.3.2",
  "code signing": "1.3.6.1.5.5.7.3.3",
  "email protection": "1.3.6.1.5.5.7.3.4",
  "s/mime": "1.3.6.1.5.5.7.3.4",
  "ipsec end system": "1.3.6.1.5.5.7.3.5",
  "ipsec tunnel": "1.3.6.1.5.5.7.3.6",
  "ipsec user": "1.3.6.1.5.5.7.3.7",
  timestamping: "1.3.6.1.5.5.7.3.8",
  "ocsp signing": "1.3.6.1.5.5.7.3.9",
  "microsoft sgc": "1.3.6.1.4.1.311.10.3.3",
  "netscape sgc": "2.16.840.1.113730.4.1",
};
