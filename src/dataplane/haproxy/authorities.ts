import { createHash } from "node:crypto";
import type { Listener, Pool } from "../../routing/index.ts";
import { readableCertificates } from "../readable-certificates.ts";
import { pemLines } from "./command.ts";
import { files } from "./config.ts";
import { commandBytes } from "./runtime.ts";

/** Certificates of authorities that endpoints are checked against, by file. A file is named after what it holds, so it never changes. */
export type Authorities = ReadonlyMap<string, string>;

/** HAProxy's name for the authorities of the machine, which it always has. */
const system = "@system-ca";

/** What HAProxy is told of authorities: a file of ours with its PEM, or the machine's own; `undefined`: none of it can be read. */
export function authoritiesFile(
  pem: string,
  directory: string,
): { readonly file: string; readonly pem?: string } | undefined {
  if (pem === "System") return { file: system };
  const good = readableCertificates(pem);
  if (good.length === 0) return undefined;
  const text = `${pemLines(good.join("\n")).join("\n")}\n`;
  const id = createHash("sha256").update(text).digest("hex").slice(0, 24);
  return { file: files.authorities(directory, id), pem: text };
}

/** PEM of the authorities that pools need. */
export function trustOf(pools: Iterable<Pool>): string[] {
  return [...pools].flatMap(({ tls }) => (tls && !tls.unverified ? [tls.authorities] : []));
}

/** PEM of those that clients of a listener are checked by. */
export function clientTrustOf({ servers }: Listener): string[] {
  return [...servers.values()].flatMap(({ tls }) => (tls?.clients ? [tls.clients.authorities] : []));
}

/** The files for some authorities. */
export function authoritiesOf(trusted: readonly string[], directory: string): Authorities {
  const all = new Map<string, string>();
  for (const pem of trusted) {
    const found = authoritiesFile(pem, directory);
    if (found?.pem !== undefined) all.set(found.file, found.pem);
  }
  return all;
}

/** True when a running process cannot be given them: its API takes only so much at once. */
export function needsStart(before: Authorities, after: Authorities): boolean {
  for (const [file, pem] of after) if (!before.has(file) && pem.length > commandBytes) return true;
  return false;
}
