import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import { type Certificate, certificateFor, type Listener } from "../../routing/index.ts";
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
  /** What a client that asks for `serverName` gets. */
  contextFor(listener: Listener, serverName: string): SecureContext;
  /** What a client that names no server gets, as options for a TLS server. */
  anonymous(listener: Listener): SecureContextOptions;
  /** Follows `configuration`, and forgets what it no longer names. Connections that are open go on. */
  use(configuration: Configuration): void;
}

interface Made {
  readonly options: SecureContextOptions;
  readonly context: SecureContext;
}

/** `fallback` makes the key pair for names without a certificate. */
export function createSecureContexts(fallback: () => KeyPair): SecureContexts {
  const contexts = new Map<string, Made>();
  let keyPair: Configuration["keyPair"] = () => undefined;
  let standard: Made | undefined;

  function make({ certificate, key }: KeyPair): Made {
    const options = { ...security, cert: certificate, key };
    return { options, context: createSecureContext(options) };
  }

  function madeOf(certificate: Certificate): Made | undefined {
    const id = idOf(certificate);
    const known = contexts.get(id);
    if (known) return known;
    const pair = keyPair(certificate);
    try {
      const made = pair && make(pair);
      if (made) contexts.set(id, made);
      return made;
    } catch {
      // The Secret has become unusable since the model was made; the next model says so.
      return undefined;
    }
  }

  function madeFor(listener: Listener, serverName: string): Made {
    const certificate = certificateFor(listener, serverName);
    return (certificate && madeOf(certificate)) ?? (standard ??= make(fallback()));
  }

  return {
    contextFor: (listener, serverName) => madeFor(listener, serverName).context,
    anonymous: (listener) => madeFor(listener, "").options,
    use(configuration) {
      keyPair = configuration.keyPair;
      const named = new Set<string>();
      for (const listener of configuration.model.listeners)
        for (const certificate of listener.certificates.values()) named.add(idOf(certificate));
      for (const id of contexts.keys()) if (!named.has(id)) contexts.delete(id);
    },
  };
}

function idOf({ secret, version }: Certificate): string {
  return `${secret.namespace ?? ""}/${secret.name} ${version}`;
}
