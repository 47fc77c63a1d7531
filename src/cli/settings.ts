import { readFile } from "node:fs/promises";
import type { DataPlaneName } from "../dataplane/index.ts";
import { bitsOf, formatCidr, formatIp, parseCidr, parseIp, type IpFamily } from "../kube/index.ts";
import { dataPlaneName } from "./data-plane.ts";
import { defaultDirectory } from "./directory.ts";
import { CliError, systemCodeOf } from "./errors.ts";
import { sampleOf } from "./tracing-settings.ts";

export type ProxyMode = "nftables" | "iptables" | "userspace";

/** How a cluster is to be brought up: flags, or a configuration file with the same names in camel case. */
export interface Settings {
  readonly dir: string;
  readonly nodes: number;
  /** `auto`: nftables where it can be had, else userspace. */
  readonly proxyMode: ProxyMode | "auto";
  /** CIDRs (`10.97.0.0/24`) or ranges (`10.97.0.10-10.97.0.20`). Empty: the default pool. */
  readonly lbPool: readonly string[];
  /** Where Services and pods have their addresses: a CIDR, or one of each family, the primary one first. Empty: as at the last start. */
  readonly serviceCidr: readonly string[];
  readonly clusterCidr: readonly string[];
  /** `lmdb`, `lmdb:PATH` or `etcd`. */
  readonly store: string;
  /** URLs of etcd's members, where `store` is `etcd`. */
  readonly etcdServers: readonly string[];
  /** Files in PEM: the authority of etcd's certificates, and a certificate with its key to show. Empty: none. */
  readonly etcdCafile: string;
  readonly etcdCertfile: string;
  readonly etcdKeyfile: string;
  /** What all keys in etcd begin with. */
  readonly etcdPrefix: string;
  /** File with an EncryptionConfiguration. Empty: one of the cluster's own, where the store is embedded. */
  readonly encryptionProviderConfig: string;
  /** File with an AuthenticationConfiguration: who else issues tokens. Empty: nobody. */
  readonly authenticationConfig: string;
  /** One issuer of OpenID Connect without a file, as kube-apiserver's flags of these names. Empty: none. */
  readonly oidcIssuerUrl: string;
  readonly oidcClientId: string;
  readonly oidcCaFile: string;
  readonly oidcUsernameClaim: string;
  /** `-`: no prefix. Empty: the issuer's URL and `#`, but nothing before an address. */
  readonly oidcUsernamePrefix: string;
  readonly oidcGroupsClaim: string;
  readonly oidcGroupsPrefix: string;
  /** `CLAIM=VALUE`. */
  readonly oidcRequiredClaim: readonly string[];
  /** CSV file of static tokens: token, user, uid, groups. Empty: none. */
  readonly tokenAuthFile: string;
  /** File with an audit policy. Empty: nothing is recorded. */
  readonly auditPolicyFile: string;
  /** Where audit events go. Empty: `audit.log` in the cluster's directory. */
  readonly auditLogPath: string;
  /** Megabytes at which the audit log is set aside, files that are kept, and days that they are; 0: no bound. */
  readonly auditLogMaxsize: number;
  readonly auditLogMaxbackup: number;
  readonly auditLogMaxage: number;
  /** Milliseconds for which the API goes on answering after the signal while `/readyz` fails already. */
  readonly shutdownDelayDuration: number;
  /** How much the API logs: 0 slow requests, 3 every request, 4 and more whatever helps to find a fault. */
  readonly v: number;
  /** Manifest files or folders to apply. */
  readonly files: readonly string[];
  /** Command by image name: what runs where there is no container runtime. */
  readonly images: Readonly<Record<string, readonly string[]>>;
  /** What serves Ingresses and Gateways. */
  readonly dataplane: DataPlaneName;
  /** File that gets a line for each request that the data plane serves. Empty: none. */
  readonly accessLog: string;
  /** HAProxy and nginx count requests by route too. */
  readonly routeFigures: boolean;
  /** Receiver of OpenTelemetry's spans: a URL. Empty: as `OTEL_EXPORTER_OTLP_ENDPOINT` says; none without. */
  readonly tracingEndpoint: string;
  /** Share of the traces that begin here of which spans are sent: 0 to 1. Undefined: as `OTEL_TRACES_SAMPLER` says; all without. */
  readonly tracingSample: number | undefined;
  /** Certificates by ACME, as `fairlead ingress` has these flags; without a directory none. */
  readonly acmeDirectory: string;
  readonly acmeEmail: string;
  readonly acmeCa: string;
  readonly acmeAccount: string;
  readonly apiPort: number;
  readonly httpPort: number;
  readonly httpsPort: number;
  /** Use nothing that needs root, even for root. */
  readonly rootless: boolean;
  /** The nodes hold load-balancer addresses by VRRP. */
  readonly vip: boolean;
}

/** Every default of `fairlead up`. */
export const defaultSettings: Settings = {
  dir: defaultDirectory,
  nodes: 1,
  proxyMode: "auto",
  dataplane: "embedded",
  accessLog: "",
  routeFigures: false,
  tracingEndpoint: "",
  tracingSample: undefined,
  lbPool: [],
  serviceCidr: [],
  clusterCidr: [],
  store: "lmdb",
  etcdServers: [],
  etcdCafile: "",
  etcdCertfile: "",
  etcdKeyfile: "",
  etcdPrefix: "/registry",
  encryptionProviderConfig: "",
  authenticationConfig: "",
  oidcIssuerUrl: "",
  oidcClientId: "",
  oidcCaFile: "",
  oidcUsernameClaim: "sub",
  oidcUsernamePrefix: "",
  oidcGroupsClaim: "",
  oidcGroupsPrefix: "",
  oidcRequiredClaim: [],
  tokenAuthFile: "",
  auditPolicyFile: "",
  auditLogPath: "",
  auditLogMaxsize: 100,
  auditLogMaxbackup: 10,
  auditLogMaxage: 0,
  shutdownDelayDuration: 0,
  v: 0,
  files: [],
  images: {},
  acmeDirectory: "",
  acmeEmail: "",
  acmeCa: "",
  acmeAccount: "",
  apiPort: 6443,
  httpPort: 80,
  httpsPort: 443,
  rootless: false,
  vip: false,
};

const wrong = (field: string, value: unknown, remedy: string) =>
  new CliError("USAGE", `${field} ${JSON.stringify(value)} is not usable`, remedy);

const port = (field: string) => (value: unknown) => {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 0 || number > 65_535 || value === "") {
    throw wrong(field, value, "give a port from 1 to 65535, or 0 for any free one");
  }
  return number;
};

const whole = (field: string, most: number) => (value: unknown) => {
  const number = Number(value);
  if (Number.isInteger(number) && number >= 0 && number <= most && value !== "") return number;
  throw wrong(field, value, `give a whole number from 0 to ${most}`);
};

const text = (field: string) => (value: unknown) => {
  if (typeof value !== "string" || value === "") throw wrong(field, value, "give a text that is not empty");
  return value;
};

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);

/** Checks one entry of `--lb-pool`. */
function poolEntry(value: unknown): string {
  const remedy = "give a CIDR such as 10.97.0.0/24 or a range such as 10.97.0.10-10.97.0.20, of IPv4 or IPv6";
  if (typeof value !== "string") throw wrong("--lb-pool", value, remedy);
  const [first = "", last, ...rest] = value.split("-").map((part) => part.trim());
  if (last !== undefined) {
    const [from, to] = [parseIp(first), parseIp(last)];
    if (!from || from.family !== to?.family || rest.length > 0) throw wrong("--lb-pool", value, remedy);
    if (from.value > to.value)
      throw wrong("--lb-pool", value, "the first address of a range may not be above the last");
    return `${formatIp(from)}-${formatIp(to)}`;
  }
  const ip = parseIp(first);
  const cidr = ip ? parseCidr(`${first}/${bitsOf(ip.family)}`) : parseCidr(first);
  if (!cidr) throw wrong("--lb-pool", value, remedy);
  return `${first.split("/")[0] ?? ""}/${cidr.prefix}`;
}

/** Checks the ranges of Services or of pods. `lengths`: of prefixes, from and to. */
const ranges =
  (field: string, example: string, lengths: Readonly<Record<IpFamily, readonly [number, number]>>) =>
  (value: unknown): readonly string[] => {
    const texts = list(value).flatMap((one) => (typeof one === "string" ? one.split(",") : [String(one)]));
    const read = texts.map((text) => parseCidr(text.trim()));
    const isUsable = read.every((cidr, i) => {
      if (!cidr || cidr.hostBits || read.findIndex((other) => other?.family === cidr.family) < i) return false;
      const [least, most] = lengths[cidr.family];
      return cidr.prefix >= least && cidr.prefix <= most;
    });
    if (isUsable) return read.flatMap((cidr) => (cidr ? [formatCidr(cidr)] : []));
    const { IPv4, IPv6 } = lengths;
    throw wrong(
      field,
      value,
      `give a CIDR of IPv4 (/${IPv4.join(" to /")}) or of IPv6 (/${IPv6.join(" to /")}), or one of each, the primary family first: ${example}`,
    );
  };

/** Splits a command line into words: blanks separate, single and double quotes hold together. There is no shell. */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  for (const [, double, single, plain] of line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)) {
    words.push(double ?? single ?? plain ?? "");
  }
  return words;
}

function imageCommand(name: string, command: unknown): readonly string[] {
  const words = typeof command === "string" ? splitWords(command) : command;
  if (!Array.isArray(words) || words.length === 0 || !words.every((word) => typeof word === "string")) {
    throw wrong(`--image ${name}`, command, "give NAME=COMMAND, for example nginx=/usr/sbin/nginx");
  }
  return words;
}

/** One `NAME=COMMAND` of `--image`. The name may hold a tag or a digest; the first `=` ends it. */
function imageFlag(value: unknown): [string, readonly string[]] {
  const line = String(value);
  const at = line.indexOf("=");
  if (at <= 0) throw wrong("--image", value, "give NAME=COMMAND, for example nginx=/usr/sbin/nginx");
  const name = line.slice(0, at);
  return [name, imageCommand(name, line.slice(at + 1))];
}

/** One URL of `--etcd-servers`. */
function etcdServer(value: unknown): string {
  const given = String(value).trim();
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url && (url.protocol === "http:" || url.protocol === "https:") && url.pathname === "/" && !url.search)
    return url.origin;
  throw wrong("--etcd-servers", value, "give URLs such as https://10.0.0.1:2379,https://10.0.0.2:2379");
}

const readers: { readonly [K in keyof Settings]: (value: unknown) => Settings[K] } = {
  dir: text("--dir"),
  nodes: (value) => {
    const number = Number(value);
    if (!Number.isInteger(number) || number < 1 || number > 50) throw wrong("--nodes", value, "give 1 to 50");
    return number;
  },
  proxyMode: (value) => {
    if (value === "auto" || value === "nftables" || value === "iptables" || value === "userspace") return value;
    throw wrong("--proxy-mode", value, "use auto, nftables, iptables or userspace");
  },
  dataplane: dataPlaneName,
  accessLog: text("--access-log"),
  routeFigures: (value) => {
    if (typeof value === "boolean") return value;
    throw wrong("--route-figures", value, "use true or false");
  },
  tracingEndpoint: text("--tracing-endpoint"),
  tracingSample: (value) => sampleOf(value),
  lbPool: (value) => list(value).map(poolEntry),
  serviceCidr: ranges("--service-cidr", "10.96.0.0/16,fd00:10:96::/112", { IPv4: [8, 28], IPv6: [64, 124] }),
  clusterCidr: ranges("--cluster-cidr", "10.42.0.0/16,fd00:10:42::/48", { IPv4: [8, 24], IPv6: [16, 64] }),
  store: (value) => {
    if (typeof value === "string" && /^(lmdb(:.+)?|etcd)$/.test(value)) return value;
    throw wrong("--store", value, "use lmdb, lmdb:PATH for another place, or etcd with --etcd-servers");
  },
  etcdServers: (value) =>
    list(value)
      .flatMap((one) => (typeof one === "string" ? one.split(",") : [one]))
      .map(etcdServer),
  etcdCafile: text("--etcd-cafile"),
  etcdCertfile: text("--etcd-certfile"),
  etcdKeyfile: text("--etcd-keyfile"),
  etcdPrefix: (value) => {
    if (typeof value === "string" && /^\/[^\0]*[^\0/]$/.test(value)) return value;
    throw wrong("--etcd-prefix", value, "give a path such as /registry");
  },
  encryptionProviderConfig: text("--encryption-provider-config"),
  authenticationConfig: text("--authentication-config"),
  oidcIssuerUrl: text("--oidc-issuer-url"),
  oidcClientId: text("--oidc-client-id"),
  oidcCaFile: text("--oidc-ca-file"),
  oidcUsernameClaim: text("--oidc-username-claim"),
  oidcUsernamePrefix: text("--oidc-username-prefix"),
  oidcGroupsClaim: text("--oidc-groups-claim"),
  oidcGroupsPrefix: text("--oidc-groups-prefix"),
  oidcRequiredClaim: (value) => list(value).map(text("--oidc-required-claim")),
  tokenAuthFile: text("--token-auth-file"),
  auditPolicyFile: text("--audit-policy-file"),
  auditLogPath: text("--audit-log-path"),
  auditLogMaxsize: whole("--audit-log-maxsize", 1 << 20),
  auditLogMaxbackup: whole("--audit-log-maxbackup", 1 << 20),
  auditLogMaxage: whole("--audit-log-maxage", 1 << 20),
  shutdownDelayDuration: (value) => {
    const [whole, amount = "", unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(String(value)) ?? [];
    const time = whole === undefined ? undefined : Number(amount) * (unit === "ms" ? 1 : unit === "s" ? 1000 : 60_000);
    if (time === undefined || time > 3_600_000)
      throw wrong("--shutdown-delay-duration", value, "give a duration such as 500ms, 10s or 2m");
    return time;
  },
  v: whole("--v", 10),
  files: (value) => list(value).map(text("-f")),
  images: (value) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).map(([name, command]) => [name, imageCommand(name, command)]))
      : Object.fromEntries(list(value).map(imageFlag)),
  acmeDirectory: text("--acme-directory"),
  acmeEmail: text("--acme-email"),
  acmeCa: text("--acme-ca"),
  acmeAccount: text("--acme-account"),
  apiPort: port("--api-port"),
  httpPort: port("--http-port"),
  httpsPort: port("--https-port"),
  rootless: (value) => {
    if (typeof value === "boolean") return value;
    throw wrong("--rootless", value, "use true or false");
  },
  vip: (value) => {
    if (typeof value === "boolean") return value;
    throw wrong("--vip", value, "use true or false");
  },
};

/**
 * Settings from flags over a configuration file over the defaults. Throws CliError USAGE naming the field.
 *
 * `given` and `file` have the keys of `Settings`, any of them absent.
 */
export function readSettings(
  given: Readonly<Record<string, unknown>>,
  file: Readonly<Record<string, unknown>> = {},
): Settings {
  for (const name of Object.keys(file)) {
    if (!(name in readers)) {
      throw new CliError(
        "USAGE",
        `the configuration file has an unknown field ${JSON.stringify(name)}`,
        `use ${Object.keys(readers).join(", ")}`,
      );
    }
  }
  const settings: Record<string, unknown> = { ...defaultSettings };
  for (const [name, read] of Object.entries(readers)) {
    const value = given[name] ?? file[name];
    if (value !== undefined) settings[name] = read(value);
  }
  return settings as unknown as Settings;
}

/** Reads a configuration file (YAML or JSON). Throws CliError BAD_FILE or USAGE. */
export async function readConfigFile(path: string): Promise<Readonly<Record<string, unknown>>> {
  let content: string;
  try {
    content = await readFile(path, "utf8");
  } catch (error) {
    const why = systemCodeOf(error) === "ENOENT" ? "does not exist" : `cannot be read: ${String(error)}`;
    throw new CliError("BAD_FILE", `the configuration file ${JSON.stringify(path)} ${why}`, "check --config", {
      cause: error,
    });
  }
  const { parse } = await import("yaml");
  let value: unknown;
  try {
    value = parse(content) ?? {};
  } catch (error) {
    throw new CliError("USAGE", `the configuration file ${JSON.stringify(path)} is not YAML: ${String(error)}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new CliError("USAGE", `the configuration file ${JSON.stringify(path)} holds no fields`);
  }
  return value as Readonly<Record<string, unknown>>;
}
