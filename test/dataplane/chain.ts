import "reflect-metadata";
import * as x509 from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A server's certificate for a DNS name with `between` authorities to the one at its end; `cert` is the chain without that one. */
export async function chain(name: string, between: number): Promise<{ ca: string; cert: string; key: string }> {
  const generate = async () => crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  let keys = await generate();
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=root",
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true)],
  });
  const sent: string[] = [];
  let issuer = root.subject;
  for (let left = between; left >= 0; left--) {
    const own = await generate();
    const subject = left === 0 ? `CN=${name}` : `CN=between ${left}`;
    const certificate = await x509.X509CertificateGenerator.create({
      issuer,
      subject,
      signingKey: keys.privateKey,
      publicKey: own.publicKey,
      signingAlgorithm: algorithm,
      extensions:
        left === 0
          ? [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: name }])]
          : [new x509.BasicConstraintsExtension(true)],
    });
    sent.unshift(certificate.toString("pem"));
    [keys, issuer] = [own, subject];
  }
  const der = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { ca: root.toString("pem"), cert: sent.join("\n"), key: x509.PemConverter.encode(der, "PRIVATE KEY") };
}
