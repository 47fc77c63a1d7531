import "reflect-metadata";
import * as x509 from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** A throw-away CA with a server certificate for 127.0.0.1 and a client that may and one that may not ask a kubelet. */
export async function testPki(
  name = "test-ca",
): Promise<{ ca: string; server: KeyPair; admin: KeyPair; stranger: KeyPair }> {
  const caKeys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys: caKeys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true)],
  });
  const issue = async (subject: string, extensions: x509.Extension[] = []): Promise<KeyPair> => {
    const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const cert = await x509.X509CertificateGenerator.create({
      subject,
      issuer: ca.subject,
      publicKey: keys.publicKey,
      signingKey: caKeys.privateKey,
      signingAlgorithm: algorithm,
      extensions,
    });
    const der = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
    return { cert: cert.toString("pem"), key: x509.PemConverter.encode(der, "PRIVATE KEY") };
  };
  return {
    ca: ca.toString("pem"),
    server: await issue("CN=n1", [new x509.SubjectAlternativeNameExtension([{ type: "ip", value: "127.0.0.1" }])]),
    admin: await issue("O=system:masters, CN=admin"),
    stranger: await issue("O=developers, CN=jane"),
  };
}
