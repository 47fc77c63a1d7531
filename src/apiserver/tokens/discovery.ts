import { isIPv6 } from "node:net";
import type { ApiResponse } from "../handler.ts";
import { objectResponse } from "../request/respond.ts";
import type { TokenIssuer } from "./issuer.ts";
import type { AccountKeys } from "./keys.ts";

/** Seconds that others may keep what they read here. */
const cached = { "cache-control": "public, max-age=3600" };

/** The documents by which others check tokens of this cluster (KEP-1393). Undefined: another path. */
export function createIssuerDiscovery(
  { issuer, keys }: TokenIssuer,
  where: () => { readonly address: string; readonly port: number },
): (path: string) => Promise<ApiResponse | undefined> {
  return async (given) => {
    switch (given.replace(/\/$/, "")) {
      case "/.well-known/openid-configuration": {
        const { address, port } = where();
        const host = isIPv6(address) ? `[${address}]` : address;
        const uri = `https://${host}:${port}/openid/v1/jwks`;
        return objectResponse(200, openidConfiguration(issuer, await keys(), uri), cached);
      }
      case "/openid/v1/jwks":
        return objectResponse(200, jwks(await keys()), { ...cached, "content-type": "application/jwk-set+json" });
      default:
        return undefined;
    }
  };
}

function openidConfiguration(issuer: string, { verifying }: AccountKeys, jwksUri: string): object {
  return {
    issuer,
    jwks_uri: jwksUri,
    response_types_supported: ["id_token"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: [...new Set(verifying.map(({ algorithm }) => algorithm))].sort(),
  };
}

/** The public keys (RFC 7517). */
function jwks({ verifying }: AccountKeys): object {
  return {
    keys: verifying.map(({ id, algorithm, key }) => ({
      use: "sig",
      ...key.export({ format: "jwk" }),
      kid: id,
      alg: algorithm,
    })),
  };
}
