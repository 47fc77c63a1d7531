import { readFileSync } from "node:fs";
import type { Api } from "../provider/api.ts";
import type { BearerToken } from "../provider/bearer.ts";
import { ProviderFailure } from "../provider/contract.ts";
import { shape, type Shape } from "../provider/shape.ts";

/** Who calls: an application with a secret or a federated token (workload identity), or the identity that the machine has. */
export type AzureCredentials =
  | { readonly kind: "secret"; readonly tenant: string; readonly client: string; readonly secret: string }
  | { readonly kind: "federated"; readonly tenant: string; readonly client: string; readonly tokenFile: string }
  | { readonly kind: "managed"; readonly client?: string };

export interface AzurePlaces {
  /** Microsoft Entra: `https://login.microsoftonline.com`. */
  readonly authority: string;
  /** The machine's metadata service. */
  readonly metadata: string;
  /** Whom the token is for: `https://management.azure.com`. */
  readonly audience: string;
}

/** A token for Azure Resource Manager (OAuth 2.0 client credentials, RFC 6749 and 7523, or managed identity). Throws ProviderFailure. */
export async function issueToken(
  credentials: AzureCredentials,
  { authority, metadata, audience }: AzurePlaces,
  api: Api,
  signal: AbortSignal,
): Promise<BearerToken> {
  if (credentials.kind === "managed") {
    const query = new URLSearchParams({ "api-version": "2018-02-01", resource: `${audience}/` });
    if (credentials.client !== undefined) query.set("client_id", credentials.client);
    const url = `${metadata}/metadata/identity/oauth2/token?${query.toString()}`;
    const request = { method: "GET", url, headers: { metadata: "true" }, isDirect: true } as const;
    return tokenIn(shape((await api.ask(request, signal)).json()));
  }
  const form = new URLSearchParams({
    grant_type: "client_credentials",
    client_id: credentials.client,
    scope: `${audience}/.default`,
  });
  const secret = credentials.kind === "secret" ? credentials.secret : readToken(credentials.tokenFile);
  if (credentials.kind === "secret") form.set("client_secret", secret);
  else {
    form.set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    form.set("client_assertion", secret);
  }
  const url = `${authority}/${encodeURIComponent(credentials.tenant)}/oauth2/v2.0/token`;
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const request = { method: "POST", url, headers, body: form.toString(), secrets: [secret] } as const;
  return tokenIn(shape((await api.ask(request, signal)).json()));
}

/** Read anew each time: who wrote it writes another before it ends. */
function readToken(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    throw new ProviderFailure("Credentials", `the federated token ${path} cannot be read`);
  }
}

/** The metadata service gives `expires_in` as a text. */
function tokenIn(body: Shape): BearerToken {
  const lives = Number(body.at("expires_in").value);
  if (!Number.isFinite(lives)) throw new ProviderFailure("Broken", "expires_in: a number is needed");
  return { token: body.at("access_token").text(), lives };
}
