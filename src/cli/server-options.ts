import type { Command } from "commander";
import { defaultSettings } from "./settings.ts";

const collect = (value: string, before: readonly string[] | undefined) => [...(before ?? []), value];

/** What every command takes that runs an API server: the way to etcd, who may ask, what is recorded, how it ends. */
export function withServerOptions(command: Command): Command {
  return command
    .option(
      "--service-cidr <cidrs>",
      "where Services have addresses: of IPv4 or IPv6, or of both with a comma, the primary family first (default: 10.96.0.0/16)",
    )
    .option("--cluster-cidr <cidrs>", "where pods have addresses, in the same way (default: 10.42.0.0/16)")
    .option("--etcd-cafile <file>", "authority of etcd's certificates, PEM")
    .option("--etcd-certfile <file>", "certificate to show to etcd, PEM")
    .option("--encryption-provider-config <file>", "EncryptionConfiguration: how Secrets are kept in the store")
    .option("--authentication-config <file>", "AuthenticationConfiguration: OpenID Connect issuers of tokens")
    .option("--oidc-issuer-url <url>", "issuer of OpenID Connect tokens, in place of a file")
    .option("--oidc-client-id <id>", "audience that its tokens must have")
    .option("--oidc-ca-file <file>", "authority of the issuer's certificate, PEM (default: those of the machine)")
    .option("--oidc-username-claim <claim>", `claim with the name (default: ${defaultSettings.oidcUsernameClaim})`)
    .option("--oidc-username-prefix <prefix>", "before names, - for none (default: ISSUER#, none before an email)")
    .option("--oidc-groups-claim <claim>", "claim with the groups (default: none)")
    .option("--oidc-groups-prefix <prefix>", "before groups")
    .option("--oidc-required-claim <claim=value>", "claim that a token must have; may be repeated", collect)
    .option("--token-auth-file <file>", 'CSV file of static tokens: token,user,uid,"groups"')
    .option("--audit-policy-file <file>", "audit policy (audit.k8s.io/v1): what is recorded of whose requests")
    .option("--audit-log-path <file>", "where audit events go, a line each (default: DIR/audit.log)")
    .option(
      "--audit-log-maxsize <megabytes>",
      `set the audit log aside at this size, 0: never (default: ${defaultSettings.auditLogMaxsize})`,
    )
    .option(
      "--audit-log-maxbackup <n>",
      `audit logs that are kept, 0: all (default: ${defaultSettings.auditLogMaxbackup})`,
    )
    .option("--audit-log-maxage <days>", "days that they are kept, 0: for ever (default: 0)")
    .option("--shutdown-delay-duration <time>", "go on answering for so long after a signal (default: 0s)")
    .option("--v <level>", "what the API logs: 0 slow requests, 3 all, 4 and more details (default: 0)")
    .option("--etcd-keyfile <file>", "key of that certificate, PEM")
    .option("--etcd-prefix <path>", `what keys in etcd begin with (default: ${defaultSettings.etcdPrefix})`);
}
