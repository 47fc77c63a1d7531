import { readFile } from "node:fs/promises";
import { type AcmeOptions, inspectAuthorities } from "../dataplane/index.ts";
import { CliError } from "./errors.ts";
import { objectName } from "./front-end.ts";
import type { Command } from "commander";

/** Flags by which certificates are got. */
export interface AcmeFlags {
  readonly acmeDirectory?: string;
  readonly acmeEmail?: string;
  readonly acmeCa?: string;
  readonly acmeAccount?: string;
}

/** The flags, with what they mean. */
export function withAcmeOptions(command: Command): Command {
  return command
    .option(
      "--acme-directory <url>",
      "get certificates by ACME for Ingresses, Gateways and ListenerSets with the annotation fairlead.dev/acme; with this you agree to the server's terms",
    )
    .option("--acme-email <address>", "whom the ACME server tells when something is wrong")
    .option("--acme-ca <file>", "PEM of an authority for the ACME server's own certificate")
    .option("--acme-account <namespace/name>", "Secret with the account's key, made when it is not there");
}

export type AcmeSettings = Pick<AcmeOptions, "directory" | "account" | "email" | "ca">;

/** What the flags say; `undefined` without a directory. An empty text is as none. Throws `CliError` USAGE. `namespace` is that of the account's Secret unless they say. */
export async function acmeSettings(flags: AcmeFlags, namespace: string): Promise<AcmeSettings | undefined> {
  const { acmeDirectory, acmeEmail, acmeCa, acmeAccount: account } = flags;
  const [directory, email, file, acmeAccount] = [acmeDirectory, acmeEmail, acmeCa, account].map(
    (said) => said || undefined,
  );
  if (directory === undefined) {
    if (email !== undefined || file !== undefined || acmeAccount !== undefined)
      throw new CliError("USAGE", "--acme-email, --acme-ca and --acme-account need --acme-directory");
    return undefined;
  }
  if (!directory.startsWith("https://") || !URL.canParse(directory))
    throw new CliError("USAGE", `--acme-directory ${JSON.stringify(directory)} is no https URL`);
  return {
    directory,
    account: objectName("--acme-account", acmeAccount ?? `${namespace}/fairlead-acme-account`),
    ...(email === undefined ? {} : { email }),
    ...(file === undefined ? {} : { ca: await readAuthority(file) }),
  };
}

async function readAuthority(file: string): Promise<string> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    throw new CliError("USAGE", `--acme-ca: ${error instanceof Error ? error.message : String(error)}`);
  });
  const wrong = inspectAuthorities(text);
  if (wrong !== undefined) throw new CliError("USAGE", `--acme-ca ${file} ${wrong.replace(" in ca.crt", "")}`);
  return text;
}
