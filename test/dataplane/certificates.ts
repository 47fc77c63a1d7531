import { selfSigned as make } from "../../src/dataplane/self-signed.ts";

/** A Secret's data with a certificate for DNS names. */
export function selfSigned(names: readonly string[]): { "tls.crt": string; "tls.key": string } {
  const { certificate, key } = make(Date.now(), names);
  return { "tls.crt": certificate, "tls.key": key };
}
