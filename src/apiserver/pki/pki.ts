import { createPrivateKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { join } from "node:path";
import type { Clock } from "../../system/index.ts";
import {
  createAuthority,
  issueClient,
  issueServer,
  type ClientSubject,
  type KeyPair,
  type ServerSubject,
} from "./authority.ts";
import { hasAccountKeys, openAccountKeys, type AccountKeyTexts } from "./account-keys.ts";
import { readText, writePrivate } from "./files.ts";
import { PkiError } from "./pki-error.ts";
import { createSigner, type CertificateSigner } from "./request.ts";

/** The cluster's certificates in a folder. */
export interface Pki {
  /** Certificate of the authority, PEM. */
  readonly ca: string;
  /** The certificate kept as `name`, made or made anew when it is missing, is about to end or is for someone else. */
  client(name: string, subject: ClientSubject): Promise<KeyPair>;
  server(name: string, subject: ServerSubject): Promise<KeyPair>;
  /** Signs what others ask for with the cluster's authority. */
  readonly signer: CertificateSigner;
  /** Keys of service-account tokens: `sa.key` signs, every `sa*.pub` is taken to check with. A missing `sa.key` is made. */
  accountKeys(): Promise<AccountKeyTexts>;
  /** The authority of front proxies, who may speak for users: apart from that of clients. Made when it is missing. */
  frontProxy(): Promise<FrontProxyPki>;
}

export interface FrontProxyPki {
  readonly ca: string;
  /** The certificate kept as `name` by which a front proxy, such as the aggregation layer, shows itself. */
  client(name: string, subject: ClientSubject): Promise<KeyPair>;
}

/** A certificate is made anew when it has less left than this, in milliseconds. */
const renewBefore = 30 * 86_400_000;

/**
 * Opens the certificates in `dir`, which is made when it is missing; a first start makes the authority. Files are written whole or not
 * at all, keys readable by the owner alone. Throws PkiError when the authority or a key of tokens that is there can not be used.
 */
export async function openPki(dir: string, clock: Clock): Promise<Pki> {
  const authority = (await loadAuthority(dir, "ca")) ?? (await makeAuthority(dir, "ca", "fairlead-ca", clock));
  // Those that are there are looked at now: who can not use them is told at the start, not by the first token.
  let keys = (await hasAccountKeys(dir)) ? openAccountKeys(dir) : undefined;
  await keys;
  let proxies: Promise<KeyPair> | undefined;
  const keep = async (
    authority: KeyPair,
    name: string,
    fits: (certificate: X509Certificate) => boolean,
    make: () => Promise<KeyPair>,
  ): Promise<KeyPair> => {
    const known = await loadPair(dir, name);
    if (known && isUsable(known, authority.cert, clock, fits)) return known;
    const pair = await make();
    await savePair(dir, name, pair);
    return pair;
  };
  return {
    ca: authority.cert,
    client: (name, subject) =>
      keep(authority, name, isFor(subject.user, subject.groups), () => issueClient(authority, subject, clock)),
    server: (name, subject) =>
      keep(
        authority,
        name,
        (certificate) => isFor(subject.name, subject.groups ?? [])(certificate) && covers(certificate, subject.hosts),
        () => issueServer(authority, subject, clock),
      ),
    signer: createSigner(authority),
    accountKeys: () => (keys ??= openAccountKeys(dir)),
    async frontProxy() {
      const name = "front-proxy-ca";
      proxies ??= loadAuthority(dir, name).then(
        (known) => known ?? makeAuthority(dir, name, "fairlead-front-proxy-ca", clock),
      );
      const own = await proxies;
      return {
        ca: own.cert,
        client: (file, subject) =>
          keep(own, file, isFor(subject.user, subject.groups), () => issueClient(own, subject, clock)),
      };
    },
  };
}

async function loadAuthority(dir: string, name: string): Promise<KeyPair | undefined> {
  const [cert, key] = await Promise.all([readText(join(dir, `${name}.crt`)), readText(join(dir, `${name}.key`))]);
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined)
    throw new PkiError(
      `${dir}: ${name}.${cert === undefined ? "crt" : "key"} is missing; put it back, or remove the folder to begin anew`,
    );
  try {
    if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) return { cert, key };
  } catch (error) {
    throw new PkiError(
      `${dir}: ${name}.crt or ${name}.key can not be read; put them back, or remove the folder to begin anew`,
      {
        cause: error,
      },
    );
  }
  throw new PkiError(
    `${dir}: ${name}.crt and ${name}.key do not belong together; put them back, or remove the folder to begin anew`,
  );
}

async function makeAuthority(dir: string, file: string, name: string, clock: Clock): Promise<KeyPair> {
  const authority = await createAuthority(name, clock);
  await savePair(dir, file, authority);
  return authority;
}

async function loadPair(dir: string, name: string): Promise<KeyPair | undefined> {
  const [cert, key] = await Promise.all([readText(join(dir, `${name}.crt`)), readText(join(dir, `${name}.key`))]);
  return cert !== undefined && key !== undefined ? { cert, key } : undefined;
}

/** The key first: a certificate without its key is of no use, a key without certificate is replaced. */
async function savePair(dir: string, name: string, { cert, key }: KeyPair): Promise<void> {
  await writePrivate(join(dir, `${name}.key`), key);
  await writePrivate(join(dir, `${name}.crt`), cert);
}

function isUsable(
  pair: KeyPair,
  authority: string,
  clock: Clock,
  fits: (certificate: X509Certificate) => boolean,
): boolean {
  try {
    const certificate = new X509Certificate(pair.cert);
    return (
      certificate.verify(new X509Certificate(authority).publicKey) &&
      certificate.checkPrivateKey(createPrivateKey(pair.key)) &&
      Date.parse(certificate.validTo) - clock.now() > renewBefore &&
      fits(certificate)
    );
  } catch {
    // What can not be read is made anew.
    return false;
  }
}

function isFor(name: string, groups: readonly string[]): (certificate: X509Certificate) => boolean {
  const wanted = [...groups.map((group) => `O=${group}`), `CN=${name}`].join("\n");
  return ({ subject }) => subject.split("\n").sort().join() === wanted.split("\n").sort().join();
}

function covers(certificate: X509Certificate, hosts: readonly string[]): boolean {
  return hosts.every((host) => (isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host)) !== undefined);
}
