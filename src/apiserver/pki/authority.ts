import { createHash, createPrivateKey, generateKeyPair, randomBytes, sign, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { promisify } from "node:util";
import type { Clock } from "../../system/index.ts";
import { der, inContext, namedBits, oid, readAll, sequence, tags, time } from "./der.ts";

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

const ecdsaWithSha256 = sequence(oid("1.2.840.10045.4.3.2"));
const yes = der(tags.boolean, Buffer.from([0xff]));
const version3 = inContext(0, true, der(tags.integer, Buffer.from([2])));

/** Bits of the extension key usage (RFC 5280 section 4.2.1.3). */
const usage = { digitalSignature: 1, certSign: 32, crlSign: 64 } as const;

/** A new certificate authority (ECDSA P-256). */
export async function createAuthority(name: string, clock: Clock): Promise<KeyPair> {
  const { publicKey, privateKey } = await newKeys();
  const subject = nameOf([], name);
  const extensions = [
    extension("2.5.29.19", true, sequence(yes)),
    extension("2.5.29.15", true, namedBits(usage.digitalSignature | usage.certSign | usage.crlSign)),
    extension("2.5.29.14", false, der(tags.octets, keyId(publicKey))),
  ];
  const days = authorityDays;
  return {
    cert: signed({ subject, issuer: subject, publicKey, extensions, days, clock }, privateKey),
    key: privateKey,
  };
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

const uses = { server: oid("1.3.6.1.5.5.7.3.1"), client: oid("1.3.6.1.5.5.7.3.2") } as const;

async function issue(
  authority: KeyPair,
  name: string,
  groups: readonly string[],
  hosts: readonly string[],
  wanted: readonly (keyof typeof uses)[],
  clock: Clock,
): Promise<KeyPair> {
  const { publicKey, privateKey } = await newKeys();
  const issuer = partsOf(authority.cert);
  const extensions = [
    extension("2.5.29.19", true, sequence()),
    extension("2.5.29.15", true, namedBits(usage.digitalSignature)),
    extension("2.5.29.37", false, sequence(...wanted.map((use) => uses[use]))),
    extension("2.5.29.35", false, sequence(inContext(0, false, keyId(issuer.publicKey)))),
    ...(hosts.length > 0 ? [extension("2.5.29.17", false, sequence(...hosts.map(alternativeName)))] : []),
  ];
  const certificate = {
    subject: nameOf(groups, name),
    issuer: issuer.subject,
    publicKey,
    extensions,
    days: leafDays,
    clock,
  };
  return { cert: signed(certificate, authority.key), key: privateKey };
}

/** Public key as SubjectPublicKeyInfo, private key as PEM. */
function newKeys(): Promise<{ publicKey: Buffer; privateKey: string }> {
  return promisify(generateKeyPair)("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "der" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
}

interface Draft {
  /** DER, as all but `days` and `clock`. */
  readonly subject: Buffer;
  readonly issuer: Buffer;
  readonly publicKey: Buffer;
  readonly extensions: readonly Buffer[];
  readonly days: number;
  readonly clock: Clock;
}

/** The certificate (RFC 5280 section 4.1), PEM. `key` is the issuer's. */
function signed({ subject, issuer, publicKey, extensions, days, clock }: Draft, key: string): string {
  const serial = randomBytes(16);
  // A serial number is positive (section 4.1.2.2).
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const told = sequence(
    version3,
    der(tags.integer, serial),
    ecdsaWithSha256,
    issuer,
    sequence(time(clock.now() - skew), time(clock.now() + days * day)),
    subject,
    publicKey,
    inContext(3, true, sequence(...extensions)),
  );
  const signature = sign("sha256", told, createPrivateKey(key));
  const bytes = sequence(told, ecdsaWithSha256, der(tags.bits, Buffer.from([0]), signature));
  return `-----BEGIN CERTIFICATE-----\n${bytes.toString("base64").replace(/.{64}(?=.)/g, "$&\n")}\n-----END CERTIFICATE-----\n`;
}

/** One group an attribute: several in one would be read as a single name. */
function nameOf(groups: readonly string[], name: string): Buffer {
  const part = (id: string, value: string) => der(tags.set, sequence(oid(id), der(tags.utf8, Buffer.from(value))));
  return sequence(...groups.map((group) => part("2.5.4.10", group)), part("2.5.4.3", name));
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(oid(id), ...(critical ? [yes] : []), der(tags.octets, value));
}

function alternativeName(host: string): Buffer {
  return isIP(host) ? inContext(7, false, addressBytes(host)) : inContext(2, false, Buffer.from(host));
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  // The URL parser gives the shortest form in hexadecimal, also of an address that ends like IPv4.
  const [before = "", after] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split("::");
  const words = (text: string) => (text === "" ? [] : text.split(":").map((word) => Number.parseInt(word, 16)));
  const [head, tail] = [words(before), words(after ?? "")];
  const all = [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0), ...tail];
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}

/** SHA-1 of the key's bits (RFC 5280 section 4.2.1.2, method 1). */
function keyId(publicKey: Buffer): Buffer {
  const [info] = readAll(publicKey);
  const bits = info && readAll(info.content)[1]?.content.subarray(1);
  return createHash("sha1")
    .update(bits ?? publicKey)
    .digest();
}

/** What a certificate says of who it is for, as it says it. */
function partsOf(pem: string): { subject: Buffer; publicKey: Buffer } {
  const [certificate] = readAll(new X509Certificate(pem).raw);
  const [told] = certificate ? readAll(certificate.content) : [];
  // Version, serial number, algorithm, issuer, validity, subject, key.
  const [, , , , , subject, key] = told ? readAll(told.content) : [];
  if (!subject || !key) throw new RangeError("a certificate of another version than 3");
  return { subject: subject.whole, publicKey: key.whole };
}
