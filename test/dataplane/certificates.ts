import { selfSigned as make } from "../../src/dataplane/certificate.ts";

/** A Secret's data with a certificate for DNS names. */
export async function selfSigned(names: readonly string[]): Promise<{ "tls.crt": string; "tls.key": string }> {
  const { certificate, key } = await make(Date.now(), names);
  return { "tls.crt": certificate, "tls.key": key };
}
