import { isIP } from "node:net";
import type { ListedCertificate } from "./certificates.ts";
import { word } from "./row.ts";

/** A line for HAProxy's runtime API. Only this file makes them. */
export type Command = { readonly line: string; readonly payload?: readonly string[] };

const name = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;
/** Paths of our own directory: no blank, no `;`, nothing that a command means something by. */
const file = /^\/[A-Za-z0-9_./-]+$/;
/** One of ours, or the machine's own. */
const authority = /^(?:\/[A-Za-z0-9_./-]+|@system-ca)$/;
const value = /^[A-Za-z0-9._~/*:=() -]*$/;
const keyword = /^[A-Za-z0-9._/:@()=*,-]+$/;

/** What cannot be a part of a command. It means a fault of this program: values are made fit before. */
export class UnsafeCommand extends Error {
  readonly code = "UNSAFE_COMMAND";
}

function fit(pattern: RegExp, text: string): string {
  if (!pattern.test(text)) throw new UnsafeCommand(`${JSON.stringify(text)} cannot be a part of a command`);
  return text;
}

export function endpointAddress(address: string, port: number): string {
  const version = isIP(address);
  if (version === 0 || address.includes("%")) throw new UnsafeCommand(`${JSON.stringify(address)} is no IP address`);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new UnsafeCommand(`${port} is no port`);
  return version === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Host and port of what `endpointAddress` has put together. */
export function addressParts(address: string): [host: string, port: number] {
  const at = address.lastIndexOf(":");
  return [address.slice(0, at).replace(/^\[|\]$/g, ""), Number(address.slice(at + 1))];
}

export const commands = {
  addMapEntries: (path: string, entries: readonly (readonly [string, string])[]): Command => ({
    line: `add map ${fit(file, path)}`,
    payload: entries.map(([key, text]) => `${mapKey(key)} ${fit(value, text)}`),
  }),
  setMapEntry: (path: string, key: string, text: string): Command => ({
    line: `set map ${fit(file, path)} ${mapKey(key)} ${commandWord(text)}`,
  }),
  removeMapEntry: (path: string, key: string): Command => ({ line: `del map ${fit(file, path)} ${mapKey(key)}` }),
  addServer: (slot: string, server: string, address: string, port: number, keywords: readonly string[]): Command => ({
    line: [
      "add server",
      `${fit(name, slot)}/${fit(name, server)}`,
      endpointAddress(address, port),
      ...keywords.map((each) => fit(keyword, each)),
    ].join(" "),
  }),
  serverState: (slot: string, server: string, state: "ready" | "maint"): Command => ({
    line: `set server ${fit(name, slot)}/${fit(name, server)} state ${state}`,
  }),
  /** Whatever idle connections it has are closed when the address is another one. */
  serverAddress: (slot: string, server: string, address: string, port: number): Command => {
    endpointAddress(address, port);
    return { line: `set server ${fit(name, slot)}/${fit(name, server)} addr ${address} port ${port}` };
  },
  removeServer: (slot: string, server: string): Command => ({
    line: `del server ${fit(name, slot)}/${fit(name, server)}`,
  }),
  /** It lets go of its listening sockets, and ends its connections with their next answer. */
  shutFrontend: (tag: string): Command => ({ line: `shutdown frontend ${fit(name, tag)}` }),
  newCertificate: (path: string): Command => ({ line: `new ssl cert ${fit(file, path)}` }),
  setCertificate: (path: string, pem: string): Command => ({
    line: `set ssl cert ${fit(file, path)}`,
    payload: pemLines(pem),
  }),
  commitCertificate: (path: string): Command => ({ line: `commit ssl cert ${fit(file, path)}` }),
  removeCertificate: (path: string): Command => ({ line: `del ssl cert ${fit(file, path)}` }),
  newAuthorities: (path: string): Command => ({ line: `new ssl ${trustKind(path)} ${fit(file, path)}` }),
  setAuthorities: (path: string, pem: string): Command => ({
    line: `set ssl ${trustKind(path)} ${fit(file, path)}`,
    payload: pemLines(pem),
  }),
  commitAuthorities: (path: string): Command => ({ line: `commit ssl ${trustKind(path)} ${fit(file, path)}` }),
  removeAuthorities: (path: string): Command => ({ line: `del ssl ${trustKind(path)} ${fit(file, path)}` }),
  addToList: (list: string, { file: path, name: server, asks }: ListedCertificate): Command => {
    const lists = asks?.revoked === undefined ? "" : ` crl-file ${fit(file, asks.revoked)}`;
    const asked = asks ? `[verify ${asks.verify} ca-file ${fit(authority, asks.authorities)}${lists}] ` : "";
    return {
      line: `add ssl crt-list ${fit(file, list)}`,
      payload: [`${fit(file, path)} ${asked}${fit(/^[a-z0-9_*.-]+$/, server)}`],
    };
  },
  removeFromList: (list: string, path: string): Command => ({
    line: `del ssl crt-list ${fit(file, list)} ${fit(file, path)}`,
  }),
  sessions: { line: "show sess" } as Command,
  info: { line: "show info" } as Command,
};

/** Authorities and revocation lists have files of their own kinds. */
const trustKind = (path: string): string => (path.endsWith(".crl") ? "crl-file" : "ca-file");

/** A key of a map: a word, perhaps with the `?` and `|` that tables of ours put between parts. */
function mapKey(key: string): string {
  return fit(/^[A-Za-z0-9._~/*:=|?%-]+$/, key);
}

/** A row on a command line, where it must be one word: its blanks are escaped. */
function commandWord(text: string): string {
  return fit(value, text).replaceAll(" ", "\\ ");
}

/** PEM without blank lines, which would end a payload, and without anything around its blocks. */
export function pemLines(pem: string): string[] {
  const blocks = pem.match(/-----BEGIN [A-Z0-9 ]+-----[A-Za-z0-9+/=\s]+-----END [A-Z0-9 ]+-----/g) ?? [];
  return blocks.flatMap((block) =>
    block
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => line !== ""),
  );
}

/** For keys of tables that are made of several parts. */
export function keyOf(...parts: readonly string[]): string {
  return parts.map(word).join("|");
}
