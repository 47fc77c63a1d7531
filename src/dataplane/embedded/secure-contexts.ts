import { constants } from "node:crypto";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import {
  type Certificate,
  certificateIn,
  type ClientValidation,
  type Listener,
  serverFor,
  type Termination,
} from "../../routing/index.ts";
import type { Configuration, KeyPair } from "../dataplane.ts";
import type { TlsWay } from "./tls-end.ts";

/** TLS 1.2 and 1.3 with forward secrecy and authenticated encryption only. */
const security: SecureContextOptions = {
  minVersion: "TLSv1.2",
  ciphers: [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
  ].join(":"),
};

/** The certificates of all listeners, made ready when a handshake first needs them. */
export interface SecureContexts {
  /**
   * What a client that asks for `serverName` gets, and what it must show; "" for one that names no server. `undefined`: what it must show
   * cannot be checked, so nobody is let in.
   */
  wayFor(listener: Listener, serverName: string): TlsWay | undefined;
  /** Follows `configuration`, and forgets what it no longer names. Connections that are open go on. */
  use(configuration: Configuration): void;
}

/** `fallback` makes the key pair for names without a certificate. */
export function createSecureContexts(fallback: () => KeyPair): SecureContexts {
  // A way has its own keys for session tickets: what was resumed in it has shown in it what clients must show.
  const ways = new Map<string, TlsWay>();
  let keyPair: Configuration["keyPair"] = () => undefined;
  let standard: KeyPair | undefined;

  function make({ certificate, key }: KeyPair, clients: ClientValidation | undefined): TlsWay {
    const options = {
      ...security,
      cert: certificate,
      key,
      // Whoever lets everyone in has nothing to check; and where an authority has the name of another, OpenSSL's fault in
      // checking ends the handshake.
      ...(clients && clients.mode !== "AllowInsecureFallback" ? { ca: clients.authorities } : {}),
      ...(clients?.revoked === undefined ? {} : { crl: clients.revoked }),
      // A resumed session has no chain to look at.
      ...(clients?.mode === "Ask" ? { secureOptions: constants.SSL_OP_NO_TICKET } : {}),
    };
    // Throws for what is no key pair.
    createSecureContext(options);
    return {
      options,
      requestCert: clients !== undefined,
      rejectUnauthorized: clients?.mode === "AllowValidOnly",
    };
  }

  function wayOf(id: string, pair: () => KeyPair | undefined, tls: Termination | undefined): TlsWay | undefined {
    const known = ways.get(id);
    if (known) return known;
    const given = pair();
    try {
      const way = given && make(given, tls?.clients);
      if (way) ways.set(id, way);
      return way;
    } catch {
      // The Secret has become unusable since the model was made; the next model says so.
      return undefined;
    }
  }

  return {
    wayFor(listener, serverName) {
      const tls = serverFor(listener, serverName.toLowerCase())?.tls ?? anyTermination(listener);
      const certificate = tls && certificateIn(tls, serverName);
      const own = certificate && wayOf(idOf(certificate, tls), () => keyPair(certificate), tls);
      if (own) return own;
      const fallbackPair = (): KeyPair => (standard ??= fallback());
      return wayOf(idOf(undefined, tls), fallbackPair, tls);
    },
    use(configuration) {
      keyPair = configuration.keyPair;
      const named = new Set<string>();
      for (const listener of configuration.model.listeners) {
        named.add(idOf(undefined, anyTermination(listener)));
        for (const { tls } of listener.servers.values()) {
          if (!tls) continue;
          named.add(idOf(undefined, tls));
          for (const certificate of tls.certificates.values()) named.add(idOf(certificate, tls));
        }
      }
      for (const id of ways.keys()) if (!named.has(id)) ways.delete(id);
    },
  };
}

/** Without a certificate for any name; what clients must show is the same for all of a port. */
function anyTermination(listener: Listener): Termination | undefined {
  for (const { tls } of listener.servers.values())
    if (tls) return { certificates: new Map(), ...(tls.clients ? { clients: tls.clients } : {}) };
  return undefined;
}

function idOf(certificate: Certificate | undefined, tls: Termination | undefined): string {
  const { secret, version } = certificate ?? {};
  const { mode, authorities, revoked } = tls?.clients ?? {};
  return `${secret?.namespace ?? ""}/${secret?.name ?? ""} ${version ?? ""} ${mode ?? ""} ${authorities ?? ""} ${revoked ?? ""}`;
}
