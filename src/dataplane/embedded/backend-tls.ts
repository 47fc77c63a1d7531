import {
  connect as connectTls,
  checkServerIdentity,
  createSecureContext,
  type ConnectionOptions,
  type DetailedPeerCertificate,
  type PeerCertificate,
  type TLSSocket,
} from "node:tls";
import type { BackendTls, Certificate } from "../../routing/index.ts";
import { trust } from "../../system/index.ts";
import type { KeyPair } from "../dataplane.ts";

/** How a connection to a pool with TLS is made, without host and port. Throws for a key pair or authorities that cannot be read. */
export function backendTlsOptions(
  tls: BackendTls,
  keyPair: (certificate: Certificate) => KeyPair | undefined,
): ConnectionOptions {
  const pair = tls.client && keyPair(tls.client);
  if (tls.client && !pair) throw new Error("the client certificate is gone");
  return {
    servername: tls.serverName,
    secureContext: createSecureContext({
      minVersion: "TLSv1.2",
      ...trust(tls.authorities === "System" ? undefined : tls.authorities),
      ...(pair ? { cert: pair.certificate, key: pair.key } : {}),
    }),
    rejectUnauthorized: tls.unverified !== true,
    checkServerIdentity: (_host, certificate) =>
      tls.unverified ? undefined : (wrongIdentity(tls, certificate) ?? tooDeep(tls, certificate)),
  };
}

/** Why a backend's certificate is not the one that was asked for (BackendTLSPolicy `validation`); `undefined` when it is. */
export function wrongIdentity(
  { serverName, subjectAltNames }: Pick<BackendTls, "serverName" | "subjectAltNames">,
  certificate: PeerCertificate,
): Error | undefined {
  if (subjectAltNames.length === 0) {
    const wrong = checkServerIdentity(serverName, certificate);
    // By its own code undici would take it for a fault of requests with another Host header, and leave this one waiting for ever.
    return wrong && new Error(wrong.message);
  }
  const uris = urisOf(certificate.subjectaltname ?? "");
  const fits = subjectAltNames.some(({ type, value }) =>
    type === "URI" ? uris.has(value) : checkServerIdentity(value, certificate) === undefined,
  );
  return fits ? undefined : new Error("the certificate has none of the names that are asked for");
}

/** The same where more authorities are between a backend's certificate and one that is trusted than there may be. Node hands over the whole chain. */
export function tooDeep({ depth }: Pick<BackendTls, "depth">, certificate: PeerCertificate): Error | undefined {
  if (depth === undefined) return undefined;
  const between = chainLength(certificate as DetailedPeerCertificate) - 2;
  return between > depth
    ? new Error(`the chain has ${between} authorities in between, not ${depth} at most`)
    : undefined;
}

/** Certificates from one to that which is its own issuer. */
export function chainLength(first: DetailedPeerCertificate): number {
  let length = 1;
  for (let each = first; each.issuerCertificate && each.issuerCertificate !== each && length < 32; length++)
    each = each.issuerCertificate;
  return length;
}

/** `DNS:a.example, URI:spiffe://a/b`; node quotes what holds a comma or a quote (CVE-2021-44532). */
function urisOf(text: string): Set<string> {
  const uris = new Set<string>();
  for (const [, quoted, plain] of text.matchAll(/(?:^|, )URI:(?:("(?:[^"\\]|\\.)*")|([^,"]*))(?=$|, )/g)) {
    if (quoted !== undefined) {
      try {
        uris.add(JSON.parse(quoted) as string);
      } catch {
        // No name then.
      }
    } else if (plain !== undefined) uris.add(plain);
  }
  return uris;
}

/** Opens a connection with TLS; `done` is called once. Like node's own, it gives up after `timeout` milliseconds. */
export function openTls(
  options: ConnectionOptions & { readonly host: string; readonly port: number; readonly timeout: number },
  alpn: readonly string[],
  done: (error: Error | null, socket: TLSSocket | null) => void,
): TLSSocket {
  const { timeout, ...rest } = options;
  let settled = false;
  const settle = (error: Error | null): void => {
    if (settled) return;
    settled = true;
    clearTimeout(timer);
    if (error) socket.destroy();
    done(error, error ? null : socket);
  };
  const timer = setTimeout(
    () => settle(Object.assign(new Error("no TLS connection in time"), { code: "UND_ERR_CONNECT_TIMEOUT" })),
    timeout,
  );
  const socket = connectTls({ ...rest, ALPNProtocols: [...alpn] });
  socket.setNoDelay(true);
  socket.once("secureConnect", () => settle(null));
  socket.on("error", (error) => settle(error));
  socket.once("close", () => settle(new Error("the endpoint closed the connection")));
  return socket;
}
