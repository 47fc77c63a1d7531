import { createHash } from "node:crypto";
import { rootCertificates } from "node:tls";
import type { BackendTls } from "../../routing/index.ts";
import { readableCertificates } from "../readable-certificates.ts";

/** Authorities that endpoints are checked by. */
export interface Authorities {
  /** Named after what it holds, so a file of this name never changes. */
  readonly id: string;
  readonly pem: string;
}

/** Bundles by their text: a change of a pool must not read 150 certificates again. Few, and forgotten together. */
const known = new Map<string, Authorities | undefined>();
const most = 256;

/** Whom a pool's endpoints are checked by; `undefined`: nobody who can be read, so nothing may be sent. */
export function authoritiesOf({ authorities }: BackendTls): Authorities | undefined {
  if (known.has(authorities)) return known.get(authorities);
  const blocks = authorities === "System" ? [...rootCertificates] : readableCertificates(authorities);
  const pem = `${blocks.join("\n")}\n`;
  const id = createHash("sha256").update(pem).digest("hex").slice(0, 24);
  const found = blocks.length === 0 ? undefined : { id, pem };
  if (known.size >= most) known.clear();
  known.set(authorities, found);
  return found;
}
