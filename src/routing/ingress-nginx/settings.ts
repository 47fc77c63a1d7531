import type { Ingress } from "../../kube/index.ts";
import type { Cors, Filter } from "../filters.ts";
import type { Retry, Rule } from "../model.ts";
import { refOf } from "../owner.ts";
import type { Affinity, AnswerRewrite } from "../policies.ts";
import type { Problem } from "../problem.ts";
import type { Template } from "../template.ts";
import { dispositionOf, prefix } from "./annotations.ts";
import { type CertificateSettings, readCertificateSettings } from "./client-certificates.ts";
import type { TemplateField } from "./fields.ts";
import { readNextUpstream } from "./next-upstream.ts";
import { readAuthSnippet, readServerSnippet, readSnippet } from "./snippet.ts";
import {
  booleanOf,
  durationsOf,
  expressionOf,
  fieldNameOf,
  fieldValueOf,
  integerOf,
  isFieldName,
  listOf,
  locationVariables,
  onOff,
  oneOf,
  rangesOf,
  secondsOf,
  serviceUrlOf,
  type ServiceUrl,
  sizeOf,
  statusOf,
  templateOf,
  urlOf,
  ValueFault,
} from "./values.ts";

/** Data of ingress-nginx's ConfigMap. */
export type NginxOptions = Readonly<Record<string, string>>;

/** What the annotations of one Ingress say, with the ConfigMap's defaults. */
export interface NginxSettings {
  readonly useRegex: boolean;
  readonly rewriteTarget?: string;
  readonly appRoot?: string;
  readonly sslRedirect: boolean;
  readonly forceSslRedirect: boolean;
  readonly redirectCode: number;
  /** Redirects to https have the slash at the end of what was asked for. */
  readonly keepsSlash: boolean;
  readonly portInRedirects: boolean;
  readonly redirect?: { readonly url: Template; readonly status: number };
  readonly wwwRedirect: boolean;
  readonly aliases: readonly string[];
  readonly protocol: "HTTP" | "HTTPS" | "GRPC" | "GRPCS";
  readonly backendTls: {
    readonly name: string;
    readonly verify: boolean;
    readonly secret?: string;
    readonly depth?: number;
  };
  readonly connect: number;
  readonly read: number;
  /** Absent: only what was certainly not processed is tried again. */
  readonly retry?: Retry;
  readonly bodyBytes: number;
  /** Of `bodyBytes` and `connect` what nobody has said. */
  readonly unsaid: NonNullable<Rule["unsaid"]>;
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  readonly satisfyAny: boolean;
  readonly passwords?: {
    readonly scheme: "BasicAuth" | "DigestAuth";
    readonly realm: string;
    readonly secret: string;
    readonly layout: "file" | "map";
  };
  readonly external?: {
    readonly url: ServiceUrl | { readonly host: string; readonly rest: string };
    readonly method?: string;
    readonly signin?: Template;
    readonly signinParameter: string;
    readonly responseHeaders: readonly string[];
    readonly redirect?: Template;
    readonly alwaysCookies: boolean;
    /** Which requests have one answer, and for how many seconds by its status. */
    readonly remembered?: { readonly key: Template; readonly seconds: Readonly<Record<string, number>> };
    /** ConfigMap with fields of the question. */
    readonly headers?: string;
    /** More of them. */
    readonly fields: readonly TemplateField[];
  };
  readonly cors?: Cors;
  readonly limits: readonly { readonly requests: number; readonly seconds: number }[];
  readonly connections?: number;
  readonly burst: number;
  /** Bytes of an answer in a second, and those before it is held to that. */
  readonly answerRate?: { readonly bytes: number; readonly after: number };
  /** Endpoints are told that each connection ends with its request. */
  readonly closes: boolean;
  readonly exempt: readonly string[];
  readonly affinity?: Affinity;
  readonly hashBy?: Template;
  readonly hashSubset?: number;
  /** Of a canary: a client that has been to it, or to what it stands in for, stays there. */
  readonly stickyCanary: boolean;
  readonly canary?: {
    readonly header?: { readonly name: string; readonly value?: string; readonly pattern?: string };
    readonly cookie?: string;
    readonly weight: number;
    readonly total: number;
  };
  /** Clients must show certificates, on the whole host. */
  readonly certificates?: CertificateSettings;
  /** TLS of its hosts is passed through. */
  readonly passthrough: boolean;
  readonly errorCodes: readonly number[];
  readonly defaultBackend?: string;
  readonly mirror?: { readonly url: ServiceUrl; readonly host: string; readonly withBody: boolean };
  /** The Service's address is asked in the place of its endpoints. */
  readonly throughService?: true;
  /** Its requests are left out of the access log. */
  readonly unlogged: boolean;
  /** What spans of its requests are called. */
  readonly spanName?: Template;
  readonly vhost?: Template;
  readonly forwardedPrefix?: string;
  readonly snippet: readonly Filter[];
  /** For its hosts as a whole. */
  readonly serverSnippet: readonly Filter[];
  /** Whether its requests are traced where some are, and in their clients' traces. */
  readonly tracing: { readonly on: boolean; readonly trust: boolean };
  /** Value of `Strict-Transport-Security`. */
  readonly strictTransport?: string;
  /** What is put in the place of something else in answers of backends. */
  readonly answerRewrites: readonly AnswerRewrite[];
  /** ConfigMap with fields of answers. */
  readonly customHeaders?: string;
  /** Redirects name a path alone where they stay on their host. */
  readonly relativeRedirects: boolean;
  /** Fields of answers that nobody outside may see. */
  readonly hidden: readonly string[];
  /** Why its routes must not be served: something that guards them cannot be. */
  readonly closed?: string;
  readonly problems: readonly Problem[];
}

const redirectCodes: readonly number[] = [301, 302, 303, 307, 308];
/** ingress-nginx answers 302 where a code beyond is asked for. */
const temporalCodes: readonly number[] = [301, 302, 303, 307];

/** What `cors-allow-origin` may have in its list; anything else allows nobody. */
const origin = /^(?:null|[A-Za-z][A-Za-z0-9+.-]*:\/\/(?:\*\.)?[A-Za-z0-9.-]+(?::\d+)?)$/;

const corsDefaults = {
  methods: "GET, PUT, POST, DELETE, PATCH, OPTIONS",
  headers:
    "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization",
};

/** Reads the annotations of one Ingress. What cannot be read is a problem; where it guards something, its routes are closed. */
export function readSettings(ingress: Ingress, options: NginxOptions = {}): NginxSettings {
  const object = refOf(ingress);
  const given = ingress.metadata.annotations ?? {};
  const problems: Problem[] = [];
  let closed: string | undefined;

  const report = (name: string, message: string, remedy: string): void =>
    void problems.push({
      object,
      field: `metadata.annotations[${prefix}${name}]`,
      reason: "InvalidAnnotation",
      message,
      remedy,
    });

  for (const [name, text] of Object.entries(given)) {
    const disposition = dispositionOf(name, text);
    if (disposition?.kind !== "refused") continue;
    const short = name.slice(prefix.length);
    report(short, `${disposition.why}; requests to this Ingress get 500`, "remove the annotation");
    closed ??= short;
  }

  /** The annotation's value, else the ConfigMap's, else `fallback`. A value that cannot be used is reported; a guard then stays shut. */
  function value<T>(name: string, read: (text: string) => T, fallback: T, option?: string, guards = false): T {
    const text = given[prefix + name];
    if (text !== undefined) {
      try {
        return read(text);
      } catch (error) {
        if (!(error instanceof ValueFault)) throw error;
        report(
          name,
          `${error.message}${guards ? "; requests to this Ingress get 500" : "; it is left out"}`,
          `correct ${prefix}${name}`,
        );
        if (guards) closed ??= name;
        return fallback;
      }
    }
    const general = option === undefined ? undefined : options[option];
    if (general === undefined || general === "") return fallback;
    try {
      return read(general);
    } catch (error) {
      if (!(error instanceof ValueFault)) throw error;
      if (guards) closed ??= `${option ?? ""} of the ConfigMap`;
      return fallback;
    }
  }
  const maybe = <T>(name: string, read: (text: string) => T, guards = false): T | undefined =>
    value<T | undefined>(name, read, undefined, undefined, guards);
  const has = (name: string): boolean => (given[prefix + name] ?? "") !== "";

  const temporal = has("temporal-redirect");
  const target = maybe(temporal ? "temporal-redirect" : "permanent-redirect", urlOf);
  const status = temporal
    ? value("temporal-redirect-code", (text) => statusOf(text, temporalCodes), 302)
    : value("permanent-redirect-code", (text) => statusOf(text, redirectCodes), 301);

  const allowName = has("allowlist-source-range") ? "allowlist-source-range" : "whitelist-source-range";
  const exemptName = has("limit-allowlist") ? "limit-allowlist" : "limit-whitelist";
  const authType = has("auth-type")
    ? value("auth-type", (text) => oneOf(text, ["basic", "digest"]), undefined, undefined, true)
    : undefined;
  const secret = maybe("auth-secret", secretNameOf, true);
  if (authType !== undefined && secret === undefined && closed === undefined) {
    report(
      "auth-secret",
      "auth-type needs a Secret; requests to this Ingress get 500",
      "name a Secret with the key auth",
    );
    closed ??= "auth-secret";
  }
  const authUrl = has("auth-url")
    ? maybe("auth-url", serviceUrlOf, true)
    : options["global-auth-url"] && value("enable-global-auth", booleanOf, true)
      ? value("", serviceUrlOf, undefined, "global-auth-url", true)
      : undefined;
  const canary = value("canary", booleanOf, false);
  const corsOn = value("enable-cors", booleanOf, false);
  const affinityOn = has("affinity") && maybe("affinity", (text) => oneOf(text, ["cookie"])) !== undefined;
  const burst = value("limit-burst-multiplier", (text) => integerOf(text, 1, 1_000_000), 5);
  const rps = value("limit-rps", (text) => integerOf(text, 0, 1_000_000), 0, undefined, true);
  const rpm = value("limit-rpm", (text) => integerOf(text, 0, 60_000_000), 0, undefined, true);
  const connections = value("limit-connections", (text) => integerOf(text, 0, 1_000_000), 0, undefined, true);
  const hashBy = maybe("upstream-hash-by", templateOf);
  const inSubset = value("upstream-hash-by-subset", booleanOf, false);
  const subsetSize = value("upstream-hash-by-subset-size", (text) => integerOf(text, 1, 1_000_000), 3);
  const canaryBehavior = value("affinity-canary-behavior", (text) => oneOf(text, ["sticky", "legacy"]), "sticky");
  const appRoot = maybe("app-root", pathOf);
  const rewriteTarget = maybe("rewrite-target", rewriteOf);
  const mirror = maybe("mirror-target", mirrorOf);
  const vhost = maybe("upstream-vhost", vhostOf);
  const connect = value<number | undefined>("proxy-connect-timeout", secondsOf, undefined, "proxy-connect-timeout");
  const bodyBytes = value<number | undefined>("proxy-body-size", sizeOf, undefined, "proxy-body-size");
  const spanName = value("opentelemetry-operation-name", spanNameOf, undefined, "opentelemetry-operation-name");
  const forwardedPrefix = maybe("x-forwarded-prefix", fieldValueOf);
  const defaultBackend = maybe("default-backend", nameOf);
  const protocol = value(
    "backend-protocol",
    (text) => oneOf(text, ["HTTP", "HTTPS", "GRPC", "GRPCS"]),
    "HTTP",
    undefined,
    true,
  );
  const snippet = maybe("configuration-snippet", (text) => readSnippet(text, protocol.startsWith("GRPC")), true) ?? [];
  const serverSnippet = maybe("server-snippet", readServerSnippet, true) ?? [];
  const customHeaders = maybe("custom-headers", objectNameOf, true);
  const intercept = !value("disable-proxy-intercept-errors", booleanOf, false, "disable-proxy-intercept-errors");
  const errorCodes = value("custom-http-errors", codesOf, [], "custom-http-errors");
  const certificates = readCertificateSettings(
    (name, read, fallback) => value(name, read, fallback, undefined, true),
    maybe("auth-tls-secret", secretNameOf, true),
  );
  const passthrough = value("ssl-passthrough", booleanOf, false, undefined, true);
  // Nothing of it is said to nginx's module for gRPC.
  const retry = protocol.startsWith("GRPC") ? undefined : readNextUpstream(value);
  const sslSecret = maybe("proxy-ssl-secret", secretNameOf, true);

  const tlsName = maybe("proxy-ssl-name", hostOf) ?? "";
  const tlsVerify = value("proxy-ssl-verify", onOff, false, undefined, true);
  // 0 is 1, as there.
  const tlsDepth = maybe("proxy-ssl-verify-depth", (text) => integerOf(text, 0, 32) || 1, true);
  return {
    useRegex: value("use-regex", booleanOf, false),
    ...(rewriteTarget === undefined || rewriteTarget === "" ? {} : { rewriteTarget }),
    ...(appRoot === undefined ? {} : { appRoot }),
    sslRedirect: value("ssl-redirect", booleanOf, true, "ssl-redirect"),
    forceSslRedirect: value("force-ssl-redirect", booleanOf, false, "force-ssl-redirect"),
    redirectCode: redirectCodes.find((code) => String(code) === options["http-redirect-code"]?.trim()) ?? 308,
    keepsSlash: value("preserve-trailing-slash", booleanOf, false, "preserve-trailing-slash"),
    portInRedirects: value("use-port-in-redirects", booleanOf, false, "use-port-in-redirects"),
    ...(target ? { redirect: { url: target, status } } : {}),
    wwwRedirect: value("from-to-www-redirect", booleanOf, false),
    aliases: value("server-alias", aliasesOf, []),
    protocol,
    backendTls: {
      name: tlsName,
      verify: tlsVerify,
      ...(sslSecret === undefined ? {} : { secret: sslSecret }),
      ...(tlsDepth === undefined ? {} : { depth: tlsDepth }),
    },
    connect: connect ?? 5_000,
    read: value("proxy-read-timeout", secondsOf, 60_000, "proxy-read-timeout"),
    ...(retry ? { retry } : {}),
    bodyBytes: bodyBytes ?? 1 << 20,
    unsaid: [
      ...(bodyBytes === undefined ? (["BodyLimit"] as const) : []),
      ...(connect === undefined ? (["ConnectTimeout"] as const) : []),
    ],
    allow: value(allowName, rangesOf, [], "whitelist-source-range", true),
    deny: [
      ...value("denylist-source-range", rangesOf, [], "denylist-source-range", true),
      ...value("", rangesOf, [], "block-cidrs", true),
    ],
    satisfyAny: value("satisfy", (text) => oneOf(text, ["any", "all"]), "all") === "any",
    ...(authType !== undefined && secret !== undefined
      ? {
          passwords: {
            scheme: authType === "digest" ? "DigestAuth" : "BasicAuth",
            realm: value("auth-realm", fieldValueOf, ""),
            secret,
            layout:
              value(
                "auth-secret-type",
                (text) => oneOf(text, ["auth-file", "auth-map"]),
                "auth-file",
                undefined,
                true,
              ) === "auth-map"
                ? "map"
                : "file",
          } as const,
        }
      : {}),
    ...(authUrl ? { external: readExternal(authUrl) } : {}),
    ...(corsOn ? { cors: readCors() } : {}),
    limits: [...(rps > 0 ? [{ requests: rps, seconds: 1 }] : []), ...(rpm > 0 ? [{ requests: rpm, seconds: 60 }] : [])],
    ...(connections > 0 ? { connections } : {}),
    burst,
    ...readAnswerRate(),
    closes: value("connection-proxy-header", (text) => oneOf(text, ["close", "keep-alive"]), "keep-alive") === "close",
    exempt: value(exemptName, rangesOf, []),
    ...(affinityOn ? { affinity: readAffinity() } : {}),
    ...(hashBy ? { hashBy, ...(inSubset ? { hashSubset: subsetSize } : {}) } : {}),
    stickyCanary: canaryBehavior === "sticky",
    ...(canary ? { canary: readCanary() } : {}),
    ...(certificates ? { certificates } : {}),
    passthrough,
    errorCodes: intercept ? errorCodes : [],
    ...(defaultBackend === undefined ? {} : { defaultBackend }),
    ...(mirror
      ? {
          mirror: {
            url: mirror,
            host: value("mirror-host", hostOf, mirror.host),
            withBody: value("mirror-request-body", (text) => text !== "off", true),
          },
        }
      : {}),
    ...(vhost === undefined ? {} : { vhost }),
    ...(forwardedPrefix === undefined ? {} : { forwardedPrefix }),
    snippet,
    ...(value("service-upstream", booleanOf, false, "service-upstream") ? { throughService: true as const } : {}),
    unlogged: !value(
      "enable-access-log",
      booleanOf,
      !readOff("disable-access-log") && !readOff("disable-http-access-log"),
    ),
    ...(spanName ? { spanName } : {}),
    serverSnippet,
    tracing: {
      on: value("enable-opentelemetry", booleanOf, true, "enable-opentelemetry"),
      trust: value("opentelemetry-trust-incoming-span", booleanOf, true, "opentelemetry-trust-incoming-span"),
    },
    ...strictTransportOf(options),
    ...(customHeaders === undefined ? {} : { customHeaders }),
    answerRewrites: readAnswerRewrites(),
    relativeRedirects: value("relative-redirects", booleanOf, false, "relative-redirects"),
    hidden: listOf(options["hide-headers"] ?? "").filter((name) => isFieldName(name)),
    ...(closed === undefined ? {} : { closed }),
    problems,
  };

  function readExternal(url: NonNullable<typeof authUrl>): NonNullable<NginxSettings["external"]> {
    const method = value<string | undefined>(
      "auth-method",
      (text) => oneOf(text, ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
      undefined,
      "global-auth-method",
    );
    const headers = maybe("auth-proxy-set-headers", objectNameOf, true);
    const signin = value("auth-signin", urlOf, undefined, "global-auth-signin");
    const redirect = value<Template | undefined>(
      "auth-request-redirect",
      templateOf,
      undefined,
      "global-auth-request-redirect",
    );
    const key = value<Template | undefined>("auth-cache-key", cacheKeyOf, undefined, "global-auth-cache-key");
    return {
      url,
      ...(key
        ? {
            remembered: {
              key,
              seconds: value(
                "auth-cache-duration",
                durationsOf,
                durationsOf("200 202 401 5m"),
                "global-auth-cache-duration",
              ),
            },
          }
        : {}),
      ...(method === undefined ? {} : { method }),
      ...(signin === undefined ? {} : { signin }),
      signinParameter: value("auth-signin-redirect-param", fieldNameOf, "rd", "global-auth-signin-redirect-param"),
      responseHeaders: value(
        "auth-response-headers",
        (text) => listOf(text).map((name) => fieldNameOf(name).toLowerCase()),
        [],
        "global-auth-response-headers",
      ),
      ...(redirect === undefined ? {} : { redirect }),
      ...(headers === undefined ? {} : { headers }),
      fields: maybe("auth-snippet", readAuthSnippet, true) ?? [],
      alwaysCookies: value("auth-always-set-cookie", booleanOf, false, "global-auth-always-set-cookie"),
    };
  }

  function readOff(option: string): boolean {
    return value("", booleanOf, false, option);
  }

  /** In kilobytes, 0 for no limit. */
  function readAnswerRate(): Pick<NginxSettings, "answerRate"> {
    const read = (name: string): number => value(name, (text) => integerOf(text, 0, 4_000_000), 0, name) * 1024;
    const [bytes, after] = [read("limit-rate"), read("limit-rate-after")];
    return bytes === 0 ? {} : { answerRate: { bytes, after } };
  }

  function readAnswerRewrites(): AnswerRewrite[] {
    const pair = (text: string): readonly [Template, Template] | undefined => {
      if (isOff(text)) return undefined;
      const [from, to, ...more] = text.trim().split(/\s+/);
      if (from === undefined || to === undefined || more.length > 0)
        throw new ValueFault("off, or what stands there and what takes its place, is needed");
      return [literalTemplateOf(from), templateOf(to)];
    };
    const domain = value("proxy-cookie-domain", pair, undefined, "proxy-cookie-domain");
    const path = value("proxy-cookie-path", pair, undefined, "proxy-cookie-path");
    const from = value("proxy-redirect-from", (text) => (isOff(text) ? undefined : literalTemplateOf(text)), undefined);
    const to = value("proxy-redirect-to", (text) => (isOff(text) ? undefined : templateOf(text)), undefined);
    return [
      ...(domain ? [{ type: "AnswerRewrite", what: "cookie-domain", from: domain[0], to: domain[1] } as const] : []),
      ...(path ? [{ type: "AnswerRewrite", what: "cookie-path", from: path[0], to: path[1] } as const] : []),
      ...(from && to ? [{ type: "AnswerRewrite", what: "location", from, to } as const] : []),
    ];
  }

  function readCors(): Cors {
    const list = (name: string, fallback: string): string[] =>
      value(name, (text) => listOf(fieldValueOf(text)), listOf(fallback));
    const said = list("cors-allow-origin", "*");
    const origins = said.length === 0 || said.includes("*") ? ["*"] : said.filter((each) => origin.test(each));
    return {
      everywhere: true,
      allowOrigins: origins,
      allowMethods: list("cors-allow-methods", corsDefaults.methods),
      allowHeaders: list("cors-allow-headers", corsDefaults.headers),
      exposeHeaders: list("cors-expose-headers", ""),
      allowCredentials: value("cors-allow-credentials", booleanOf, true),
      maxAge: value("cors-max-age", (text) => integerOf(text, 0, 1_000_000_000), 1_728_000),
    };
  }

  function readAffinity(): Affinity {
    const attribute = (text: string): string => {
      if (!/^[A-Za-z0-9._~/:-]*$/.test(text)) throw new ValueFault("letters, digits and -._~/: are needed");
      return text;
    };
    const [path, domain] = [maybe("session-cookie-path", attribute), maybe("session-cookie-domain", attribute)];
    const sameSite = maybe("session-cookie-samesite", (text) => oneOf(text, ["None", "Lax", "Strict"]));
    const mode = value("affinity-mode", (text) => oneOf(text, ["balanced", "persistent"]), "balanced");
    const maxAge = maybe("session-cookie-max-age", (text) => integerOf(text, 0, 3_155_760_000));
    const expires = maybe("session-cookie-expires", (text) => integerOf(text, 0, 3_155_760_000));
    return {
      cookie: value("session-cookie-name", fieldNameOf, "INGRESSCOOKIE"),
      ...(mode === "balanced" ? { balanced: true as const } : {}),
      secure: value("session-cookie-secure", booleanOf, false),
      ...(path === undefined ? {} : { path }),
      ...(domain === undefined ? {} : { domain }),
      ...(sameSite === undefined ? {} : { sameSite }),
      ...(maxAge === undefined ? {} : { maxAge }),
      ...(expires === undefined ? {} : { expires }),
    };
  }

  function readCanary(): NonNullable<NginxSettings["canary"]> {
    const name = maybe("canary-by-header", (text) => fieldNameOf(text).toLowerCase());
    const exact = maybe("canary-by-header-value", fieldValueOf);
    const pattern = exact === undefined ? maybe("canary-by-header-pattern", expressionOf) : undefined;
    const cookie = maybe("canary-by-cookie", fieldNameOf);
    const header =
      name === undefined
        ? undefined
        : { name, ...(exact === undefined ? {} : { value: exact }), ...(pattern === undefined ? {} : { pattern }) };
    return {
      ...(header ? { header } : {}),
      ...(cookie === undefined ? {} : { cookie }),
      weight: value("canary-weight", (text) => integerOf(text, 0, 1_000_000), 0),
      // What is below 100 counts for nothing there.
      total: Math.max(
        100,
        value("canary-weight-total", (text) => integerOf(text, 1, 1_000_000), 100),
      ),
    };
  }
}

/** HSTS is on unless the ConfigMap says otherwise. A value that cannot be read is that of ingress-nginx's default. */
function strictTransportOf(options: NginxOptions): { strictTransport?: string } {
  const isOn = (name: string, fallback: boolean): boolean => {
    try {
      return booleanOf(options[name] ?? String(fallback));
    } catch {
      return fallback;
    }
  };
  if (!isOn("hsts", true)) return {};
  const age = /^\d{1,10}$/.test(options["hsts-max-age"] ?? "") ? options["hsts-max-age"] : "31536000";
  const subdomains = isOn("hsts-include-subdomains", true) ? "; includeSubDomains" : "";
  const preload = isOn("hsts-preload", false) ? "; preload" : "";
  return { strictTransport: `max-age=${age}${subdomains}${preload}` };
}

/** `default` stands for what a backend is called in nginx's configuration: none of them answers with that. */
function isOff(text: string): boolean {
  return /^(?:off|default)?$/.test(text.trim());
}

function literalTemplateOf(text: string): Template {
  if (text.startsWith("~")) throw new ValueFault("expressions are not served here: write what stands there");
  return templateOf(text);
}

/** The user's name is part of what the client shows: with all of that no two clients are taken for one. */
function cacheKeyOf(text: string): Template {
  return templateOf(text.replaceAll(/\$(?:remote_user\b|\{remote_user\})/g, "${http_authorization}"));
}

function spanNameOf(text: string): Template | undefined {
  const name = templateOf(text);
  const unknown = name.find((part) => typeof part !== "string" && !spanVariables.has(part.variable));
  if (unknown && typeof unknown !== "string")
    throw new ValueFault(`a span's name cannot have $${unknown.variable} in it`);
  return name.length === 0 ? undefined : name;
}

/** What of a request a span's name may say: nothing that a client can make up any number of. */
const spanVariables: ReadonlySet<string> = new Set([
  "request_method",
  "namespace",
  "ingress_name",
  "service_name",
  "service_port",
]);

const nameOrKey = /^(?:[a-z0-9.-]{1,253}\/)?[a-z0-9.-]{1,253}$/;

function secretNameOf(text: string): string {
  if (!nameOrKey.test(text)) throw new ValueFault("the name of a Secret is needed");
  return text;
}

function objectNameOf(text: string): string {
  if (!nameOrKey.test(text)) throw new ValueFault("the name of a ConfigMap is needed");
  return text;
}

function nameOf(text: string): string {
  if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text)) throw new ValueFault("the name of a Service is needed");
  return text;
}

function hostOf(text: string): string {
  if (!/^[A-Za-z0-9._-]{1,253}(?::\d{1,5})?$/.test(text)) throw new ValueFault("a host name is needed");
  return text;
}

/** A host name, perhaps with parts that are the Ingress's own. */
function vhostOf(text: string): Template {
  const template = templateOf(text);
  const own: readonly string[] = locationVariables;
  for (const part of template)
    if (typeof part !== "string" && !own.includes(part.variable))
      throw new ValueFault(`$${part.variable} is not served here: a host name is needed`);
  hostOf(template.map((part) => (typeof part === "string" ? part : "name")).join(""));
  return template;
}

function pathOf(text: string): string {
  if (!/^\/[A-Za-z0-9\-._~!&'()*+,;=:@%/?#]*$/.test(text)) throw new ValueFault("a path such as /app is needed");
  return text;
}

function rewriteOf(text: string): string {
  if (text !== "" && !/^\/?[A-Za-z0-9\-._~!&'()*+,=:@%/?$]*$/.test(text))
    throw new ValueFault("a path such as /$2 is needed");
  return text;
}

function mirrorOf(text: string): ServiceUrl {
  const url = serviceUrlOf(text);
  if (!("service" in url) || url.secure)
    throw new ValueFault("copies are sent to Services only: http://NAME.NAMESPACE.svc.cluster.local:PORT$request_uri");
  if (!/^\/?(?:\$request_uri|\$uri\$is_args\$args)?$/.test(url.rest))
    throw new ValueFault("a copy has the path and query of its request: http://HOST:PORT$request_uri");
  return url;
}

function aliasesOf(text: string): string[] {
  return listOf(text).map((alias) => {
    if (!/^(?:\*\.)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/.test(alias))
      throw new ValueFault(`${JSON.stringify(alias)} is not a host name`);
    return alias;
  });
}

function codesOf(text: string): number[] {
  return listOf(text).map((code) => integerOf(code, 300, 599));
}
