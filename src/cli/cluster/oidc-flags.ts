import { CliError } from "../errors.ts";
import type { Settings } from "../settings.ts";

export type OidcSettings = Pick<
  Settings,
  | "oidcIssuerUrl"
  | "oidcClientId"
  | "oidcUsernameClaim"
  | "oidcUsernamePrefix"
  | "oidcGroupsClaim"
  | "oidcGroupsPrefix"
  | "oidcRequiredClaim"
>;

/**
 * The `--oidc-*` flags as an AuthenticationConfiguration of one issuer, with kube-apiserver's defaults: a name is told from those of others
 * by the issuer's URL before it, but an address is not; `-` is no prefix. `authority` is what `--oidc-ca-file` holds. Undefined: no flag
 * was given. Throws CliError USAGE.
 */
export function oidcConfiguration(settings: OidcSettings, authority: string): object | undefined {
  const { oidcIssuerUrl: url, oidcClientId: client, oidcUsernameClaim: claim, oidcUsernamePrefix: prefix } = settings;
  if (!url && !client) return undefined;
  if (!url || !client)
    throw new CliError("USAGE", "--oidc-issuer-url and --oidc-client-id go together", "give both or none");
  const usual = claim === "email" ? "" : `${url}#`;
  return {
    apiVersion: "apiserver.config.k8s.io/v1",
    kind: "AuthenticationConfiguration",
    jwt: [
      {
        issuer: { url, audiences: [client], ...(authority ? { certificateAuthority: authority } : {}) },
        claimValidationRules: settings.oidcRequiredClaim.map(requiredClaim),
        claimMappings: {
          username: { claim, prefix: prefix === "-" ? "" : prefix || usual },
          ...(settings.oidcGroupsClaim
            ? { groups: { claim: settings.oidcGroupsClaim, prefix: settings.oidcGroupsPrefix } }
            : {}),
        },
      },
    ],
  };
}

function requiredClaim(text: string): { claim: string; requiredValue: string } {
  const at = text.indexOf("=");
  if (at <= 0)
    throw new CliError(
      "USAGE",
      `--oidc-required-claim ${JSON.stringify(text)} is not usable`,
      "give CLAIM=VALUE, for example hd=example.com",
    );
  return { claim: text.slice(0, at), requiredValue: text.slice(at + 1) };
}
