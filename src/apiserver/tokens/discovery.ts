import type { AccountKeys } from "./keys.ts";

/** `/.well-known/openid-configuration`: what others need to check tokens of this cluster (KEP-1393). */
export function openidConfiguration(issuer: string, keys: AccountKeys, jwksUri: string): object {
  return {
    issuer,
    jwks_uri: jwksUri,
    response_types_supported: ["id_token"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: [...new Set(keys.verifying.map(({ algorithm }) => algorithm))].sort(),
  };
}

/** `/openid/v1/jwks`: the public keys (RFC 7517). */
export function jwks({ verifying }: AccountKeys): object {
  return {
    keys: verifying.map(({ id, algorithm, key }) => ({
      use: "sig",
      ...key.export({ format: "jwk" }),
      kid: id,
      alg: algorithm,
    })),
  };
}
