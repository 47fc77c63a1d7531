import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import { type Certificate, certificateIn, type Listener, serverFor, type Termination } from "../../routing/index.ts";
import type { Configuration, KeyPair } from "../dataplane.ts";

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
  /** What a client that asks for `serverName` gets; `undefined` when the listener serves no such name. */
  contextFor(listener: Listener, serverName: string): SecureContext | undefined;
  /** What a client that names no server gets, as options for a TLS server. */
  anonymous(listener: Listener): SecureContextOptions;
  /** Follows `configuration`, and forgets what it no longer names. Connections that are open go on. */
  use(configuration: Configuration): void;
}

/** What clients of a listener must show of themselves, as options for a TLS server. All servers of a port ask for the same. */
export interface ClientCheck {
  readonly requestCert: boolean;
  readonly rejectUnauthorized: boolean;
}

export function clientCheckOf(listener: Listener): ClientCheck {
  for (const { tls } of listener.servers.values())
    if (tls?.clients) return { requestCert: true, rejectUnauthorized: tls.clients.mode === "AllowValidOnly" };
  return { requestCert: false, rejectUnauthorized: false };
}

interface Made {
  readonly options: SecureContextOptions;
  readonly context: SecureContext;
}

/** `fallback` makes the key pair for names without a certificate. */
export function createSecureContexts(fallback: () => KeyPair): SecureContexts {
  const contexts = new Map<string, Made>();
  let keyPair: Configuration["keyPair"] = () => undefined;
  let standard: KeyPair | undefined;

  // A context has its own keys for session tickets: what was resumed here has shown here what clients must show.
  function make({ certificate, key }: KeyPair, authorities: string | undefined): Made {
    const options = { ...security, cert: certificate, key, ...(authorities ? { ca: authorities } : {}) };
    return { options, context: createSecureContext(options) };
  }

  function madeOf(id: string, pair: () => KeyPair | undefined, tls: Termination | undefined): Made | undefined {
    const known = contexts.get(id);
    if (known) return known;
    const given = pair();
    try {
      const made = given && make(given, tls?.clients?.authorities);
      if (made) contexts.set(id, made);
      return made;
    } catch {
      // The Secret has become unusable since the model was made; the next model says so.
      return undefined;
    }
  }

  function madeFor(tls: Termination | undefined, serverName: string): Made {
    const certificate = tls && certificateIn(tls, serverName);
    const own = certificate && madeOf(idOf(certificate, tls), () => keyPair(certificate), tls);
    if (own) return own;
    const fallbackPair = (): KeyPair => (standard ??= fallback());
    return madeOf(idOf(undefined, tls), fallbackPair, tls) ?? make(fallbackPair(), undefined);
  }

  return {
    contextFor(listener, serverName) {
      const server = serverFor(listener, serverName.toLowerCase());
      return server?.tls && madeFor(server.tls, serverName).context;
    },
    anonymous: (listener) => madeFor(serverFor(listener, "")?.tls ?? anyTermination(listener), "").options,
    use(configuration) {
      keyPair = configuration.keyPair;
      const named = new Set<string>();
      for (const listener of configuration.model.listeners)
        for (const { tls } of listener.servers.values()) {
          if (!tls) continue;
          named.add(idOf(undefined, tls));
          for (const certificate of tls.certificates.values()) named.add(idOf(certificate, tls));
        }
      for (const id of contexts.keys()) if (!named.has(id)) contexts.delete(id);
    },
  };
}

/** Without a certificate for any name; what clients must show is the same for all of a listener. */
function anyTermination(listener: Listener): Termination | undefined {
  for (const { tls } of listener.servers.values())
    if (tls) return { certificates: new Map(), ...(tls.clients ? { clients: tls.clients } : {}) };
  return undefined;
}

function idOf(certificate: Certificate | undefined, tls: Termination | undefined): string {
  const { secret, version } = certificate ?? {};
  return `${secret?.namespace ?? ""}/${secret?.name ?? ""} ${version ?? ""} ${tls?.clients?.authorities ?? ""}`;
}
