import { readFileSync } from "node:fs";
import type { IpFamily } from "../../kube/index.ts";
import { ProviderConfigError, readConfig } from "../provider/config.ts";

/** Who asks Keystone for a token (Identity API v3). */
export type OpenStackCredentials =
  | {
      readonly method: "password";
      readonly username: string;
      readonly password: string;
      readonly userDomain: string;
      readonly project: string;
      readonly projectDomain: string;
    }
  | { readonly method: "application_credential"; readonly id: string; readonly secret: string };

/** How Octavia is reached, and what load balancers are like that Services do not describe further. */
export interface OpenStackConfig {
  /** Keystone, `https://.../v3`. */
  readonly authUrl: string;
  readonly credentials: OpenStackCredentials;
  readonly region?: string;
  readonly interface: "public" | "internal" | "admin";
  /** Octavia, where it is not the one of the catalogue. */
  readonly endpoint?: string;
  readonly subnet?: string;
  readonly network?: string;
  readonly memberSubnet?: string;
  /** Octavia's own provider: amphora, ovn... */
  readonly driver?: string;
  readonly flavor?: string;
  readonly availabilityZone?: string;
  readonly family: IpFamily;
  readonly algorithm: "ROUND_ROBIN" | "LEAST_CONNECTIONS" | "SOURCE_IP" | "SOURCE_IP_PORT";
  readonly monitor: { readonly delay: number; readonly timeout: number; readonly retries: number };
  /** One call for a load balancer with all its parts, where Octavia's provider can do that. */
  readonly oneCall: boolean;
  /** What is done with a load balancer of ours in ERROR. */
  readonly onError: "failover" | "leave";
  /** Milliseconds between two looks at what is under way. */
  readonly poll: number;
  /** Milliseconds for one call. */
  readonly timeout: number;
  readonly ca?: string;
  readonly insecure: boolean;
}

const names = [
  "authUrl",
  "username",
  "password",
  "passwordFile",
  "userDomain",
  "project",
  "projectDomain",
  "applicationCredentialId",
  "applicationCredentialSecret",
  "applicationCredentialSecretFile",
  "region",
  "interface",
  "endpoint",
  "subnet",
  "network",
  "memberSubnet",
  "driver",
  "flavor",
  "availabilityZone",
  "family",
  "algorithm",
  "monitorDelay",
  "monitorTimeout",
  "monitorRetries",
  "oneCall",
  "onError",
  "pollMs",
  "timeoutMs",
  "caFile",
  "insecure",
];

/** Reads the configuration; what it does not say comes from the variables that OpenStack's own client reads. Throws ProviderConfigError. */
export function readOpenStackConfig(
  value: unknown,
  env: Readonly<Record<string, string | undefined>> = process.env,
): OpenStackConfig {
  const config = readConfig(value, names, env);
  const or = (name: string, ...variables: string[]) =>
    config.optional(name) ?? variables.map((variable) => env[variable]).find(Boolean);
  const needed = (name: string, ...variables: string[]) => {
    const found = or(name, ...variables);
    if (found) return found;
    throw new ProviderConfigError(`config.${name} is missing, and the variable ${variables.join(" or ")} as well`);
  };
  const some = <K extends string>(name: K, found: string | undefined) =>
    (found === undefined ? {} : { [name]: found }) as Partial<Record<K, string>>;
  const id = or("applicationCredentialId", "OS_APPLICATION_CREDENTIAL_ID");
  const credentials: OpenStackCredentials = id
    ? {
        method: "application_credential",
        id,
        secret: config.secret("applicationCredentialSecret", "OS_APPLICATION_CREDENTIAL_SECRET"),
      }
    : {
        method: "password",
        username: needed("username", "OS_USERNAME"),
        password: config.secret("password", "OS_PASSWORD"),
        userDomain: or("userDomain", "OS_USER_DOMAIN_NAME", "OS_USER_DOMAIN_ID") ?? "Default",
        project: needed("project", "OS_PROJECT_NAME", "OS_TENANT_NAME"),
        projectDomain: or("projectDomain", "OS_PROJECT_DOMAIN_NAME", "OS_PROJECT_DOMAIN_ID") ?? "Default",
      };
  const subnet = or("subnet", "OS_SUBNET_ID");
  const network = config.optional("network");
  if (subnet === undefined && network === undefined) {
    throw new ProviderConfigError("config.subnet or config.network is missing: where addresses come from");
  }
  const caFile = or("caFile", "OS_CACERT");
  return {
    authUrl: config.url("authUrl", "OS_AUTH_URL").replace(/(\/v3)?$/, "/v3"),
    credentials,
    interface: config.oneOf("interface", ["public", "internal", "admin"], "public"),
    family: config.oneOf("family", ["IPv4", "IPv6"], "IPv4"),
    algorithm: config.oneOf(
      "algorithm",
      ["ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP", "SOURCE_IP_PORT"],
      "ROUND_ROBIN",
    ),
    monitor: {
      delay: config.whole("monitorDelay", 1, 3_600, 5),
      timeout: config.whole("monitorTimeout", 1, 3_600, 3),
      retries: config.whole("monitorRetries", 1, 10, 1),
    },
    oneCall: config.flag("oneCall", true),
    onError: config.oneOf("onError", ["failover", "leave"], "failover"),
    poll: config.whole("pollMs", 10, 600_000, 2_000),
    timeout: config.whole("timeoutMs", 100, 600_000, 30_000),
    insecure: config.flag("insecure", false),
    ...some("region", or("region", "OS_REGION_NAME")),
    ...some("endpoint", config.optional("endpoint") === undefined ? undefined : config.url("endpoint")),
    ...some("subnet", subnet),
    ...some("network", network),
    ...some("memberSubnet", config.optional("memberSubnet")),
    ...some("driver", config.optional("driver")),
    ...some("flavor", config.optional("flavor")),
    ...some("availabilityZone", config.optional("availabilityZone")),
    ...some("ca", caFile === undefined ? undefined : readCa(caFile)),
  };
}

function readCa(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new ProviderConfigError(`config.caFile: ${error instanceof Error ? error.message : String(error)}`);
  }
}
