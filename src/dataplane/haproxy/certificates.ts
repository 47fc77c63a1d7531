import { createHash } from "node:crypto";
import {
  type Certificate,
  certificateIn,
  type ClientValidation,
  type Listener,
  serverFor,
} from "../../routing/index.ts";
import type { Configuration, KeyPair } from "../dataplane.ts";
import { certificateId } from "../secret-ids.ts";
import { authoritiesFile, revocationFile } from "./authorities.ts";
import { files } from "./config.ts";

/** A certificate of a listener: its file, what it holds, and the server name that it is for. */
export interface ListedCertificate {
  readonly file: string;
  readonly pem: string;
  readonly name: string;
  readonly asks?: AskedClients;
}

/** Clients are asked for a certificate. */
export interface AskedClients {
  readonly verify: "optional" | "required";
  /** The file that it is checked by. */
  readonly authorities: string;
  /** The file of what is revoked. */
  readonly revoked?: string;
}

/** The certificates of a listener. The first is for names that no other has. */
export interface CertificateList {
  readonly standard: ListedCertificate;
  /** By file. */
  readonly others: ReadonlyMap<string, ListedCertificate>;
}

const serverName = /^(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?$/;

/** Key pairs as files hold them; `undefined`: gone. */
export type Pems = (certificate: Certificate) => string | undefined;

/** Asks for key pairs, one model after the other: for one with its version once. */
export function createPems(): (keyPair: Configuration["keyPair"]) => Pems {
  let last = new Map<string, string>();
  return (keyPair) => {
    const before = last;
    const now = new Map<string, string>();
    last = now;
    return (certificate) => {
      const id = certificateId(certificate);
      let pem = now.get(id) ?? before.get(id);
      if (pem === undefined) {
        const pair = keyPair(certificate);
        if (!pair) return undefined;
        pem = pemOf(pair);
      }
      now.set(id, pem);
      return pem;
    };
  };
}

/** The certificates that a listener shows; one whose key pair is gone is left out, so that its names get the default one. */
export function certificatesFor(
  listener: Listener,
  tag: string,
  directory: string,
  pems: Pems,
  standard: () => string,
): CertificateList {
  const others = new Map<string, ListedCertificate>();
  const pemFor = (certificate: Certificate | undefined): string | undefined => certificate && pems(certificate);
  const all = [...listener.servers.values()];
  const any = all.map(({ tls }) => pemFor(tls?.certificates.get(""))).find((pem) => pem !== undefined);
  const pem = any ?? standard();

  for (const server of all) {
    const { hostname, tls } = server;
    if (!tls) continue;
    const exact = hostname !== "" && !hostname.startsWith("*");
    for (const name of exact ? [hostname] : new Set([hostname, ...tls.certificates.keys()])) {
      // A name is its own server's: what clients must show goes by it.
      if (!serverName.test(name) || serverFor(listener, name) !== server) continue;
      const certificate = certificateIn(tls, name);
      const own = pemFor(certificate) ?? (tls.clients && pem);
      if (own === undefined) continue;
      const asked = askedBy(tls.clients, directory);
      // Whoever must show another certificate has another entry: one is never changed while it is used.
      const id = digest(JSON.stringify([tag, name, certificate?.secret, asked.asks]));
      const file = files.certificate(directory, id);
      others.set(file, { file, pem: own, name, ...asked });
    }
  }
  const file = files.certificate(directory, `${tag}-standard`);
  // A name that nobody can ask for: it is the place in the list that makes it the default.
  return { standard: { file, pem, name: "standard.invalid", ...askedBy(ofAll(listener), directory) }, others };
}

/** What clients must show who name no server that is known: what all of a port must. */
function ofAll({ servers }: Listener): ClientValidation | undefined {
  const all = [...servers.values()].map(({ tls }) => tls?.clients);
  return servers.has("") ? servers.get("")?.tls?.clients : all.includes(undefined) ? undefined : all[0];
}

const verifyOf = ({ mode }: ClientValidation): AskedClients["verify"] =>
  mode === "AllowValidOnly" ? "required" : "optional";

function askedBy(clients: ClientValidation | undefined, directory: string): Pick<ListedCertificate, "asks"> {
  const found = clients && authoritiesFile(clients.authorities, directory);
  if (!found) return {};
  const asks = { verify: verifyOf(clients), authorities: found.file };
  if (clients.revoked === undefined) return { asks };
  const lists = revocationFile(clients.revoked, directory);
  // Who cannot be checked is not asked, and so has shown nothing.
  return lists ? { asks: { ...asks, revoked: lists.file } } : {};
}

/** What a listener as a whole asks of its clients' certificates: a process cannot change it while it runs. */
export interface ClientDemand {
  /** Some are asked: whoever comes again must show it again, since a session that is resumed has another name's proof. */
  readonly asks: boolean;
  /** Nobody is served without one. */
  readonly requires: boolean;
  /** For clients that name no server that is known. */
  readonly standard?: ClientValidation;
}

export function demandOf(listener: Listener): ClientDemand {
  const all = [...listener.servers.values()].flatMap(({ tls }) => (tls?.clients ? [tls.clients] : []));
  const standard = ofAll(listener);
  return {
    asks: all.length > 0,
    requires: all.some((clients) => verifyOf(clients) === "required"),
    ...(standard === undefined ? {} : { standard }),
  };
}

function listLine({ file, name, asks }: ListedCertificate): string {
  if (!asks) return `${file} ${name}`;
  const lists = asks.revoked === undefined ? "" : ` crl-file ${asks.revoked}`;
  return `${file} [verify ${asks.verify} ca-file ${asks.authorities}${lists}] ${name}`;
}

export function listText({ standard, others }: CertificateList): string {
  return [standard, ...others.values()].map((each) => `${listLine(each)}\n`).join("");
}

const digest = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 24);

/** One file: the chain, then its key. */
export function pemOf({ certificate, key }: KeyPair): string {
  return `${certificate.trim()}\n${key.trim()}\n`;
}
