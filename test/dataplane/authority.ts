import "reflect-metadata";
import * as x509 from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** What a client shows. */
export interface Shown {
  readonly cert: string;
  readonly key: string;
}

/** An authority with two clients, and its list on which the second one stands. */
export async function authority(name: string): Promise<{ ca: string; list: string; good: Shown; withdrawn: Shown }> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true)],
  });
  const common = { issuer: ca.subject, signingKey: keys.privateKey, signingAlgorithm: algorithm };
  const issue = async (serialNumber: string): Promise<Shown> => {
    const own = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const cert = await x509.X509CertificateGenerator.create({
      ...common,
      serialNumber,
      subject: `CN=client ${serialNumber}`,
      publicKey: own.publicKey,
    });
    const der = await crypto.subtle.exportKey("pkcs8", own.privateKey);
    return { cert: cert.toString("pem"), key: x509.PemConverter.encode(der, "PRIVATE KEY") };
  };
  const list = await x509.X509CrlGenerator.create({
    ...common,
    thisUpdate: new Date(Date.now() - 60_000),
    nextUpdate: new Date(Date.now() + 3_600_000),
    entries: [{ serialNumber: "02", revocationDate: new Date(Date.now() - 60_000) }],
  });
  return {
    ca: ca.toString("pem"),
    list: x509.PemConverter.encode(list.rawData, "X509 CRL"),
    good: await issue("01"),
    withdrawn: await issue("02"),
  };
}
