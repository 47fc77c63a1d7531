import { readConfig } from "../provider/config.ts";
import type { AwsSettings } from "./desired.ts";
import type { AwsConfig } from "./query.ts";

const names = [
  "region",
  "endpoint",
  "accessKeyId",
  "accessKeyIdFile",
  "secretAccessKey",
  "secretAccessKeyFile",
  "sessionToken",
  "sessionTokenFile",
  "roleArn",
  "externalId",
  "webIdentityTokenFile",
  "vpc",
  "subnets",
  "securityGroups",
  "scheme",
  "caFile",
  "pollMs",
  "timeoutMs",
];

/** What all of AWS's providers are told. Throws ProviderConfigError. */
export function readAwsConfig(value: unknown): {
  readonly elb: AwsConfig;
  readonly settings: AwsSettings;
  /** Milliseconds between two looks at what is under way. */
  readonly poll: number;
} {
  const config = readConfig(value, names);
  const { env } = process;
  const accessKeyId = config.optionalSecret("accessKeyId", "AWS_ACCESS_KEY_ID");
  const arn = config.optional("roleArn") ?? env["AWS_ROLE_ARN"];
  const tokenFile = config.optional("webIdentityTokenFile") ?? env["AWS_WEB_IDENTITY_TOKEN_FILE"];
  const externalId = config.optional("externalId");
  const sessionToken = config.optionalSecret("sessionToken", "AWS_SESSION_TOKEN");
  // With a token of its own, keys are not needed.
  const needsKeys = accessKeyId !== undefined || tokenFile === undefined || arn === undefined;
  const keys = needsKeys && {
    accessKeyId: config.secret("accessKeyId", "AWS_ACCESS_KEY_ID"),
    secretAccessKey: config.secret("secretAccessKey", "AWS_SECRET_ACCESS_KEY"),
    ...(sessionToken === undefined ? {} : { sessionToken }),
  };
  const elb = {
    region: config.text("region", env["AWS_REGION"] ?? env["AWS_DEFAULT_REGION"]),
    ...(config.optional("endpoint") === undefined ? {} : { endpoint: config.url("endpoint") }),
    ...(keys ? { keys } : {}),
    ...(arn === undefined
      ? {}
      : {
          role: {
            arn,
            ...(externalId === undefined ? {} : { externalId }),
            ...(tokenFile === undefined ? {} : { tokenFile }),
          },
        }),
    timeout: config.whole("timeoutMs", 100, 600_000, 30_000),
    ...config.pem("caFile"),
  };
  const settings: AwsSettings = {
    vpc: config.text("vpc"),
    subnets: config.texts("subnets"),
    securityGroups: config.texts("securityGroups"),
    scheme: config.oneOf("scheme", ["internal", "internet-facing"], "internal"),
  };
  return { elb, settings, poll: config.whole("pollMs", 10, 600_000, 10_000) };
}
