import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import type { KeyPair } from "./dataplane.ts";

// One fixed certificate shape, written by hand: it is made at every start, and the library that issues certificates
// would take 20 MB and a third of a second for it.

const tag = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  text: 0x0c,
  time: 0x18,
  sequence: 0x30,
  set: 0x31,
};
const oid = {
  ecdsaWithSha256: Buffer.from("06082a8648ce3d040302", "hex"),
  commonName: Buffer.from("0603550403", "hex"),
  subjectAltName: Buffer.from("0603551d11", "hex"),
  basicConstraints: Buffer.from("0603551d13", "hex"),
};
const day = 86_400_000;
const commonName = "Fairlead default certificate";

/** One element in DER (X.690): tag, length, content. */
function der(type: number, ...content: readonly (Buffer | string)[]): Buffer {
  const body = Buffer.concat(content.map((part) => Buffer.from(part)));
  const length =
    body.length < 0x80
      ? [body.length]
      : body.length < 0x100
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.from([type, ...length]), body]);
}

const pem = (label: string, bytes: Buffer): string =>
  `-----BEGIN ${label}-----\n${
    bytes
      .toString("base64")
      .match(/.{1,64}/g)
      ?.join("\n") ?? ""
  }\n-----END ${label}-----\n`;

/** RFC 5280 section 4.1.2.5.2: `20300101000000Z`. */
const time = (ms: number): Buffer => der(tag.time, `${new Date(ms).toISOString().slice(0, 19).replace(/[-:T]/g, "")}Z`);

/**
 * A self-signed key pair (ECDSA P-256) for DNS names, valid for a year from `now` (milliseconds). No client trusts it:
 * with it the handshake for a name without certificate ends, and the client can say what is wrong.
 */
export function selfSigned(now: number, names: readonly string[] = ["default.fairlead.invalid"]): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const serial = randomBytes(16);
  // Positive, and without superfluous zeros.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  const algorithm = der(tag.sequence, oid.ecdsaWithSha256);
  const name = der(tag.sequence, der(tag.set, der(tag.sequence, oid.commonName, der(tag.text, commonName))));
  const altNames = der(tag.sequence, ...names.map((each) => der(0x82, each)));
  const extensions = der(
    tag.sequence,
    der(tag.sequence, oid.basicConstraints, der(tag.boolean, Buffer.from([0xff])), der(tag.octets, der(tag.sequence))),
    der(tag.sequence, oid.subjectAltName, der(tag.octets, altNames)),
  );
  const body = der(
    tag.sequence,
    der(0xa0, der(tag.integer, Buffer.from([2]))),
    der(tag.integer, serial),
    algorithm,
    name,
    der(tag.sequence, time(now - day), time(now + 365 * day)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, extensions),
  );
  const signature = sign("sha256", body, privateKey);
  return {
    certificate: pem("CERTIFICATE", der(tag.sequence, body, algorithm, der(tag.bits, Buffer.from([0]), signature))),
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}
