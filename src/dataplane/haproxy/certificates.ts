import { createHash } from "node:crypto";
import { type Listener, type Termination } from "../../routing/index.ts";
import type { Configuration, KeyPair } from "../dataplane.ts";
import { files } from "./config.ts";

/** A certificate of a listener: its file, what it holds, and the server name that it is for. */
export interface ListedCertificate {
  readonly file: string;
  readonly pem: string;
  readonly name: string;
}

/** The certificates of a listener. The first is for names that no other has. */
export interface CertificateList {
  readonly standard: ListedCertificate;
  /** By file. */
  readonly others: ReadonlyMap<string, ListedCertificate>;
}

const serverName = /^(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?$/;

/** The certificates that a listener shows; one whose key pair is gone is left out, so that its names get the default one. */
export function certificatesFor(
  listener: Listener,
  tag: string,
  directory: string,
  keyPair: Configuration["keyPair"],
  standard: () => KeyPair,
): CertificateList {
  const others = new Map<string, ListedCertificate>();
  let any: string | undefined;
  for (const { tls } of listener.servers.values()) {
    if (!tls) continue;
    for (const [name, certificate] of (tls satisfies Termination).certificates) {
      const pair = keyPair(certificate);
      if (!pair) continue;
      const pem = pemOf(pair);
      if (name === "") any ??= pem;
      else if (serverName.test(name)) {
        const { namespace = "", name: secret } = certificate.secret;
        const id = createHash("sha256")
          .update(JSON.stringify([tag, name, namespace, secret]))
          .digest("hex")
          .slice(0, 24);
        const file = files.certificate(directory, id);
        others.set(file, { file, pem, name });
      }
    }
  }
  const file = files.certificate(directory, `${tag}-standard`);
  // A name that nobody can ask for: it is the place in the list that makes it the default.
  return { standard: { file, pem: any ?? pemOf(standard()), name: "standard.invalid" }, others };
}

function listLine({ file, name }: ListedCertificate): string {
  return `${file} ${name}`;
}

export function listText({ standard, others }: CertificateList): string {
  return [standard, ...others.values()].map((each) => `${listLine(each)}\n`).join("");
}

function pemOf({ certificate, key }: KeyPair): string {
  return `${certificate.trim()}\n${key.trim()}\n`;
}
