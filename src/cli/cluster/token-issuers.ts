import { readFile } from "node:fs/promises";
import type { TokenAuthenticator } from "../../apiserver/index.ts";
import { CliError } from "../errors.ts";
import { oidcConfiguration, type OidcSettings } from "./oidc-flags.ts";
import type { Settings } from "../settings.ts";

/** Issuer of the cluster's own tokens, and audience of tokens that are meant for the API. */
export const audiences = ["https://kubernetes.default.svc.cluster.local"];

/** The kinds of tokens that the settings add: static ones and those of OpenID Connect issuers. Throws CliError BAD_FILE. */
export async function tokenIssuers(
  settings: Pick<Settings, "authenticationConfig" | "tokenAuthFile" | "oidcCaFile"> & OidcSettings,
  now: () => number,
): Promise<TokenAuthenticator[]> {
  const { authenticationConfig, tokenAuthFile, oidcCaFile } = settings;
  const byFlags = oidcConfiguration(settings, "");
  if (byFlags && authenticationConfig)
    throw new CliError(
      "USAGE",
      "--authentication-config and --oidc-* exclude each other",
      "put the issuer into the file",
    );
  if (!authenticationConfig && !tokenAuthFile && !byFlags) return [];
  const api = await import("../../apiserver/index.ts");
  const found: TokenAuthenticator[] = [];
  const from = async (path: string, make: (text: string) => TokenAuthenticator | Promise<TokenAuthenticator>) => {
    try {
      found.push(await make(await readFile(path, "utf8")));
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      throw new CliError("BAD_FILE", `${JSON.stringify(path)} can not be used: ${text}`, undefined, { cause: error });
    }
  };
  if (tokenAuthFile) await from(tokenAuthFile, (text) => api.createStaticTokens(text, audiences));
  if (authenticationConfig)
    await from(authenticationConfig, async (text) => {
      const issuers = await api.parseAuthenticationConfiguration(text);
      return api.createOidcAuthenticator({ issuers, audiences, now });
    });
  if (byFlags) {
    const authority = oidcCaFile ? await readAuthority(oidcCaFile) : "";
    const text = JSON.stringify(oidcConfiguration(settings, authority));
    const issuers = await api.parseAuthenticationConfiguration(text).catch((error: unknown) => {
      throw new CliError("USAGE", `--oidc-*: ${error instanceof Error ? error.message : String(error)}`, undefined, {
        cause: error,
      });
    });
    found.push(await api.createOidcAuthenticator({ issuers, audiences, now }));
  }
  return found;
}

async function readAuthority(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError("BAD_FILE", `${JSON.stringify(path)} can not be used: ${why}`, "check --oidc-ca-file", {
      cause: error,
    });
  }
}
