import { randomBytes, webcrypto } from "node:crypto";
import { isIP } from "node:net";
import type { Clock } from "../../system/index.ts";

/** A certificate and its private key, both PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** Who a client certificate is for: Kubernetes reads the user from CN and the groups from O. */
export interface ClientSubject {
  readonly user: string;
  readonly groups: readonly string[];
}

/** What a server certificate is for. */
export interface ServerSubject {
  readonly name: string;
  /** Host names and addresses under which the server is reached. */
  readonly hosts: readonly string[];
  /** Groups, where the server is a client too (a kubelet). */
  readonly groups?: readonly string[];
}

const day = 86_400_000;
const authorityDays = 3650;
const leafDays = 365;
/** Clocks of clients may be slow by so much. */
const skew = 3_600_000;

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** The library and what it needs; loaded only when a certificate is made, which a restart does not. */
async function library() {
  await import("reflect-metadata");
  return import("@peculiar/x509");
}

/** A new certificate authority (ECDSA P-256). */
export async function createAuthority(name: string, clock: Clock): Promise<KeyPair> {
  const x509 = await library();
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...common(clock, authorityDays),
    name: [{ CN: [name] }],
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign | x509.KeyUsageFlags.digitalSignature,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false),
    ],
  });
  return { cert: `${certificate.toString("pem")}\n`, key: await exportKey(keys.privateKey) };
}

/** A certificate for a client, signed by `authority`. */
export async function issueClient(authority: KeyPair, subject: ClientSubject, clock: Clock): Promise<KeyPair> {
  return issue(authority, subject.user, subject.groups, [], ["client"], clock);
}

/** A certificate for a server, signed by `authority`. */
export async function issueServer(authority: KeyPair, subject: ServerSubject, clock: Clock): Promise<KeyPair> {
  const { name, hosts, groups = [] } = subject;
  return issue(authority, name, groups, hosts, groups.length > 0 ? ["server", "client"] : ["server"], clock);
}

async function issue(
  authority: KeyPair,
  name: string,
  groups: readonly string[],
  hosts: readonly string[],
  uses: readonly ("server" | "client")[],
  clock: Clock,
): Promise<KeyPair> {
  const x509 = await library();
  const issuer = new x509.X509Certificate(authority.cert);
  const signingKey = await webcrypto.subtle.importKey("pkcs8", fromPem(authority.key), algorithm, false, ["sign"]);
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const usages = uses.map((use) => x509.ExtendedKeyUsage[use === "server" ? "serverAuth" : "clientAuth"]);
  const names = hosts.map((host) => ({ type: isIP(host) ? ("ip" as const) : ("dns" as const), value: host }));
  const certificate = await x509.X509CertificateGenerator.create({
    ...common(clock, leafDays),
    // One group an attribute: several in one would be read as a single name.
    subject: [...groups.map((group) => ({ O: [group] })), { CN: [name] }],
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(usages),
      await x509.AuthorityKeyIdentifierExtension.create(issuer, false),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
    ],
  });
  return { cert: `${certificate.toString("pem")}\n`, key: await exportKey(keys.privateKey) };
}

function common(clock: Clock, days: number) {
  const serial = randomBytes(16);
  // A serial number is positive (RFC 5280 section 4.1.2.2).
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return {
    serialNumber: serial.toString("hex"),
    notBefore: new Date(clock.now() - skew),
    notAfter: new Date(clock.now() + days * day),
    signingAlgorithm: algorithm,
  };
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const bytes = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN PRIVATE KEY-----\n${lines.join("\n")}\n-----END PRIVATE KEY-----\n`;
}

function fromPem(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[A-Z ]+-----/g, ""), "base64");
}
