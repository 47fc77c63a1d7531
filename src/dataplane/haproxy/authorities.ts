import { createHash } from "node:crypto";
import { createSecureContext } from "node:tls";
import { type ClientValidation, gather, type Listener, type Pool } from "../../routing/index.ts";
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

/** The same for lists of what is revoked; `undefined`: they cannot be read. */
export function revocationFile(
  pem: string,
  directory: string,
): { readonly file: string; readonly pem: string } | undefined {
  try {
    // Throws for what is none.
    createSecureContext({ crl: pem });
  } catch {
    return undefined;
  }
  const text = `${pemLines(pem).join("\n")}\n`;
  const id = createHash("sha256").update(text).digest("hex").slice(0, 24);
  return { file: files.revoked(directory, id), pem: text };
}

type Trust = Pick<ClientValidation, "authorities" | "revoked">;

const checked = gather<string, Pool, Trust>(({ tls }) => (tls?.unverified ? undefined : tls));

/** What the certificates of endpoints are checked by. */
export function trustOf(pools: ReadonlyMap<string, Pool>): Trust[] {
  return [...checked(pools).values()];
}

/** What those of a listener's clients are. */
export function clientTrustOf({ servers }: Listener): Trust[] {
  return [...servers.values()].flatMap(({ tls }) => (tls?.clients ? [tls.clients] : []));
}

/** The files for all of it. */
export function authoritiesOf(trusted: readonly Trust[], directory: string): Authorities {
  const all = new Map<string, string>();
  for (const { authorities, revoked } of trusted) {
    const files = [
      authoritiesFile(authorities, directory),
      revoked === undefined ? undefined : revocationFile(revoked, directory),
    ];
    for (const each of files) if (each?.pem !== undefined) all.set(each.file, each.pem);
  }
  return all;
}

/** True when a running process cannot be given them: its API takes only so much at once. */
export function needsStart(before: Authorities, after: Authorities): boolean {
  for (const [file, pem] of after) if (!before.has(file) && pem.length > commandBytes) return true;
  return false;
}
