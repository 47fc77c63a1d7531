import type { TLSSocket } from "node:tls";

/** What the backend sees of a TLS connection. */
export interface TlsFacts {
  readonly version: string;
  readonly peerCertificates?: readonly string[];
  readonly serverName: string;
  readonly negotiatedProtocol?: string;
  readonly cipherSuite: string;
}

export function tlsFacts(socket: TLSSocket): TlsFacts {
  const certificates = peerCertificates(socket);
  const { servername, alpnProtocol } = socket as TLSSocket & { servername?: string | false };
  return {
    version: socket.getProtocol() ?? "",
    ...(certificates.length > 0 ? { peerCertificates: certificates } : {}),
    serverName: typeof servername === "string" ? servername : "",
    ...(alpnProtocol ? { negotiatedProtocol: alpnProtocol } : {}),
    cipherSuite: socket.getCipher().standardName,
  };
}

/** PEM, the peer's own first. */
function peerCertificates(socket: TLSSocket): string[] {
  const found: string[] = [];
  let certificate = socket.getPeerCertificate(true);
  while (certificate?.raw) {
    const body = certificate.raw.toString("base64").replace(/(.{64})(?!$)/g, "$1\n");
    found.push(`-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`);
    const issuer = certificate.issuerCertificate;
    if (!issuer || issuer === certificate || issuer.fingerprint256 === certificate.fingerprint256) break;
    certificate = issuer;
  }
  return found;
}
