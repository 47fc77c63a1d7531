import { readFile } from "node:fs/promises";
import { type Clock, type CommandRunner, CommandError } from "../system/index.ts";
import { ClientError } from "./client.ts";
import type { ClientConfig, ExecPlugin } from "./config.ts";

/** What a request carries to say who asks. */
export interface Identity {
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly certificate?: string;
  readonly key?: string;
}

export interface CredentialSource {
  identity(): Promise<Identity>;
  /** The server did not accept them: get new ones where that is possible. True when it is worth another try. */
  refuse(): boolean;
}

const tokenFileLife = 60_000;
const execTimeout = 60_000;

/** Keeps credentials fresh: token files are read anew each minute, exec plugins are run when their answer expires. */
export function createCredentialSource(config: ClientConfig, clock: Clock, commands: CommandRunner): CredentialSource {
  const { credentials } = config;
  const fixed = impersonation(config);
  let token: { value: string; until: number } | undefined;
  let plugin: { identity: Identity; until: number } | undefined;
  let running: Promise<Identity> | undefined;

  const fromFile = async (file: string): Promise<string> => {
    if (token && clock.now() < token.until) return token.value;
    try {
      token = { value: (await readFile(file, "utf8")).trim(), until: clock.now() + tokenFileLife };
    } catch (error) {
      // A file that is just being replaced: the token we have may still be good.
      if (!token) throw new ClientError("KUBECONFIG", `the token file ${file} can't be read`, { cause: error });
    }
    return token.value;
  };

  const fromPlugin = async (exec: ExecPlugin): Promise<Identity> => {
    if (plugin && clock.now() < plugin.until) return plugin.identity;
    // Many requests at once wait for one run.
    running ??= runPlugin(exec, config, commands)
      .then((answer) => {
        plugin = answer;
        return answer.identity;
      })
      .finally(() => (running = undefined));
    return running;
  };

  return {
    async identity() {
      const { certificate, key, tokenFile, username, password, exec } = credentials;
      const bearer = tokenFile ? await fromFile(tokenFile) : credentials.token;
      const given: Identity = exec && !bearer ? await fromPlugin(exec) : { headers: {} };
      const basic = username ? `Basic ${Buffer.from(`${username}:${password ?? ""}`).toString("base64")}` : undefined;
      const authorization = bearer ? `Bearer ${bearer}` : basic;
      return {
        ...(certificate && key ? { certificate, key } : {}),
        ...given,
        headers: { ...fixed, ...(authorization ? { authorization } : {}), ...given.headers },
      };
    },
    refuse() {
      const had = plugin ?? (credentials.tokenFile ? token : undefined);
      plugin = undefined;
      if (token) token.until = 0;
      return had !== undefined;
    },
  };
}

function impersonation({ credentials }: ClientConfig): Record<string, string | string[]> {
  const as = credentials.impersonate;
  if (!as) return {};
  const extra = Object.entries(as.extra ?? {}).map(
    ([name, values]) => [`impersonate-extra-${encodeURIComponent(name)}`, [...values]] as const,
  );
  return {
    "impersonate-user": as.user,
    ...(as.uid ? { "impersonate-uid": as.uid } : {}),
    ...(as.groups ? { "impersonate-group": [...as.groups] } : {}),
    ...Object.fromEntries(extra),
  };
}

interface ExecCredentialStatus {
  readonly token?: string;
  readonly clientCertificateData?: string;
  readonly clientKeyData?: string;
  readonly expirationTimestamp?: string;
}

async function runPlugin(
  exec: ExecPlugin,
  config: ClientConfig,
  commands: CommandRunner,
): Promise<{ identity: Identity; until: number }> {
  const cluster = {
    server: config.server,
    ...(config.ca ? { "certificate-authority-data": Buffer.from(config.ca).toString("base64") } : {}),
    ...(config.serverName ? { "tls-server-name": config.serverName } : {}),
    ...(config.insecure ? { "insecure-skip-tls-verify": true } : {}),
  };
  const info = {
    apiVersion: exec.apiVersion,
    kind: "ExecCredential",
    spec: { interactive: false, ...(exec.provideClusterInfo ? { cluster } : {}) },
  };
  const env = { ...exec.env, KUBERNETES_EXEC_INFO: JSON.stringify(info) };
  const failed = (what: string, cause?: unknown): ClientError => {
    const hint = exec.installHint ? `\n${exec.installHint.trim()}` : "";
    return new ClientError("KUBECONFIG", `the exec plugin ${exec.command} ${what}${hint}`, { cause });
  };
  const result = await commands.run(exec.command, exec.args, { env, timeout: execTimeout }).catch((error: unknown) => {
    throw failed(error instanceof CommandError ? `could not be run: ${error.message}` : "could not be run", error);
  });
  if (result.code !== 0) throw failed(`ended with code ${result.code}: ${result.stderr.trim().slice(0, 500)}`);
  let status: ExecCredentialStatus | undefined;
  try {
    status = (JSON.parse(result.stdout) as { status?: ExecCredentialStatus }).status;
  } catch (error) {
    throw failed("did not print an ExecCredential in JSON", error);
  }
  const { token, clientCertificateData, clientKeyData, expirationTimestamp } = status ?? {};
  if (!token && !(clientCertificateData && clientKeyData))
    throw failed("gave neither a token nor a certificate with its key");
  const expires = expirationTimestamp ? Date.parse(expirationTimestamp) : Infinity;
  return {
    until: Number.isNaN(expires) ? 0 : expires,
    identity: {
      headers: token ? { authorization: `Bearer ${token}` } : {},
      ...(clientCertificateData && clientKeyData ? { certificate: clientCertificateData, key: clientKeyData } : {}),
    },
  };
}
