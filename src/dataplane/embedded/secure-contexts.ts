import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import { type Certificate, certificateFor, type Listener } from "../../routing/index.ts";
import type { Configuration, KeyPair } from "../dataplane.ts";

/** TLS 1.2 and 1.3 with forward secrecy and authenticated encryption only. */
const options: SecureContextOptions = {
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
  contextFor(listener: Listener, serverName: string): Promise<SecureContext>;
  /** What a client that names no server gets, as options for a TLS server. */
  anonymous(listener: Listener): Promise<SecureContextOptions>;
  /** Forgets what the model no longer names. Connections that are open go on. */
  keep(configuration: Configuration): void;
}

/** `fallback` makes the key pair for names without a certificate. */
export function createSecureContexts(fallback: () => Promise<KeyPair>): SecureContexts {
  const contexts = new Map<string, SecureContext>();
  let keyPair: Configuration["keyPair"] = () => undefined;
  let byDefault: Promise<{ options: SecureContextOptions; context: SecureContext }> | undefined;

  const optionsOf = ({ certificate, key }: KeyPair): SecureContextOptions => ({ ...options, cert: certificate, key });

  async function makeDefault(): Promise<{ options: SecureContextOptions; context: SecureContext }> {
    const made = optionsOf(await fallback());
    return { options: made, context: createSecureContext(made) };
  }

  function contextOf(certificate: Certificate): SecureContext | undefined {
    const id = idOf(certificate);
    const known = contexts.get(id);
    if (known) return known;
    const pair = keyPair(certificate);
    const context = pair && createSecureContext(optionsOf(pair));
    if (context) contexts.set(id, context);
    return context;
  }

  return {
    async contextFor(listener, serverName) {
      const certificate = certificateFor(listener, serverName);
      const context = certificate && contextOf(certificate);
      return context ?? (await (byDefault ??= makeDefault())).context;
    },
    async anonymous(listener) {
      const certificate = certificateFor(listener, "");
      const pair = certificate && keyPair(certificate);
      return pair ? optionsOf(pair) : (await (byDefault ??= makeDefault())).options;
    },
    keep(configuration) {
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
