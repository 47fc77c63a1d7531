import { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { ClientCertificate } from "../authentication/index.ts";
import type { UserInfo } from "../handler.ts";

/** Authorities whose certificates say who a client is. */
export interface ClientAuthorities {
  /** Of clients, PEM; several in one text are all good. */
  readonly clientCa: string;
  /** Of front proxies, PEM. Absent: there are none. */
  readonly frontProxyCa?: string | undefined;
}

/** Extra key that names the credential of a request, as upstream. */
const credentialId = "authentication.kubernetes.io/credential-id";
/** Object identifier of the subject's attribute that is the user's uid. */
const uidAttribute = "1.3.6.1.4.1.57683.2";
/** Certificates between a client's own and an authority. */
const deepest = 5;

/**
 * Reads client certificates: CN is the user, each O a group. A chain counts for the authority that signed it alone, so that a
 * front proxy is no user and a user no front proxy. What was found is kept for each connection.
 */
export function createCertificateReader(
  { clientCa, frontProxyCa }: ClientAuthorities,
  now: () => number = Date.now,
): (socket: TLSSocket) => ClientCertificate | undefined {
  const clients = authoritiesIn(clientCa);
  const proxies = frontProxyCa === undefined ? [] : authoritiesIn(frontProxyCa);
  const known = new WeakMap<TLSSocket, Known>();
  const nobody: ClientCertificate = { user: undefined, frontProxy: undefined };

  const read = (socket: TLSSocket): Known | undefined => {
    const certificate = socket.getPeerX509Certificate();
    if (!certificate) return undefined;
    // TLS has looked at dates, purpose and signatures; only which of the authorities it was is open.
    const ends = Date.parse(certificate.validTo);
    if (!socket.authorized) return { shown: nobody, ends };
    const { subject } = certificate.toLegacyObject();
    const name = userFromSubject(subject)?.name;
    const shown = {
      user: signedBy(certificate, clients) ? userFromSubject(subject, certificate.fingerprint256) : undefined,
      frontProxy: signedBy(certificate, proxies) ? name : undefined,
      ends,
    };
    return { shown, ends };
  };
  return (socket) => {
    const found = known.get(socket) ?? read(socket);
    if (!found) return undefined;
    known.set(socket, found);
    // A connection may outlive the certificate that it began with.
    return now() < found.ends ? found.shown : nobody;
  };
}

interface Known {
  readonly shown: ClientCertificate;
  /** When the certificate ends, milliseconds since the epoch. */
  readonly ends: number;
}

/**
 * User, groups and uid that the subject of a verified certificate names; undefined when it names no user, or more than one uid.
 * `fingerprint` is the SHA-256 of the certificate.
 */
export function userFromSubject(
  subject: Readonly<Record<string, string | readonly string[] | undefined>> | object,
  fingerprint?: string,
): UserInfo | undefined {
  const fields = subject as Readonly<Record<string, string | readonly string[] | undefined>>;
  const names = list(fields["CN"]);
  const uids = list(fields[uidAttribute]);
  const name = names.at(-1);
  if (!name || uids.length > 1 || uids[0] === "") return undefined;
  const [uid] = uids;
  return {
    name,
    groups: [...new Set([...list(fields["O"]), "system:authenticated"])],
    ...(uid ? { uid } : {}),
    ...(fingerprint
      ? { extra: { [credentialId]: [`X509SHA256=${fingerprint.replaceAll(":", "").toLowerCase()}`] } }
      : {}),
  };
}

function list(value: string | readonly string[] | undefined): readonly string[] {
  return value === undefined ? [] : typeof value === "string" ? [value] : value;
}

function authoritiesIn(pem: string): X509Certificate[] {
  const found = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return found.map((one) => new X509Certificate(one));
}

function signedBy(certificate: X509Certificate, authorities: readonly X509Certificate[]): boolean {
  let current: X509Certificate | undefined = certificate;
  for (let depth = 0; current && depth < deepest; depth++) {
    const signed = current;
    if (authorities.some((authority) => signed.checkIssued(authority) && signed.verify(authority.publicKey)))
      return true;
    const { issuerCertificate }: X509Certificate = current;
    current = issuerCertificate === current ? undefined : issuerCertificate;
  }
  return false;
}
