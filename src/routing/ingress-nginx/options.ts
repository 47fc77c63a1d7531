import type { Disposition } from "./annotations.ts";

/** Keys that mean here what they mean there. */
export const servedOptions = [
  "ssl-redirect",
  "force-ssl-redirect",
  "http-redirect-code",
  "preserve-trailing-slash",
  "use-port-in-redirects",
  "proxy-body-size",
  "proxy-connect-timeout",
  "proxy-read-timeout",
  "whitelist-source-range",
  "denylist-source-range",
  "block-cidrs",
  "custom-http-errors",
  "disable-proxy-intercept-errors",
  "limit-req-status-code",
  "limit-conn-status-code",
  "global-auth-url",
  "global-auth-method",
  "global-auth-signin",
  "global-auth-signin-redirect-param",
  "global-auth-response-headers",
  "global-auth-request-redirect",
  "global-auth-always-set-cookie",
  "global-auth-cache-key",
  "global-auth-cache-duration",
  "hsts",
  "hsts-max-age",
  "hsts-include-subdomains",
  "hsts-preload",
  "hide-headers",
  "add-headers",
  "proxy-set-headers",
  "global-allowed-response-headers",
  "relative-redirects",
  "service-upstream",
  "disable-access-log",
  "disable-http-access-log",
  "opentelemetry-operation-name",
  "enable-opentelemetry",
  "opentelemetry-trust-incoming-span",
  "proxy-cookie-domain",
  "proxy-cookie-path",
  "limit-rate",
  "limit-rate-after",
  "proxy-next-upstream",
  "proxy-next-upstream-timeout",
  "proxy-next-upstream-tries",
  "retry-non-idempotent",
] as const;

/** What clients or backends see when it is not what ingress-nginx makes of it. */
const seen: Readonly<Record<string, string>> = {
  "use-forwarded-headers": "whose X-Forwarded-* are believed is said by --trusted-forwarder CIDR",
  "compute-full-forwarded-for": "X-Forwarded-For is written anew, and added to behind trusted forwarders",
  "forwarded-for-header": "the client's address is read from X-Forwarded-For",
  "proxy-real-ip-cidr": "whose X-Forwarded-* are believed is said by --trusted-forwarder CIDR",
  "enable-real-ip": "whose X-Forwarded-* are believed is said by --trusted-forwarder CIDR",
  "use-proxy-protocol": "the PROXY protocol is not read from clients",
  "large-client-header-buffers": "the data plane has its own limits of header fields",
  "client-header-buffer-size": "the data plane has its own limits of header fields",
  "use-gzip": "answers are passed on as the backend made them",
  "enable-brotli": "answers are passed on as the backend made them",
  "ssl-protocols": "TLS 1.2 and 1.3 only, with ciphers that are safe today",
  "ssl-ciphers": "TLS 1.2 and 1.3 only, with ciphers that are safe today",
  "load-balance": "the endpoint with the fewest requests is taken",
  "upstream-hash-by": "set it for each Ingress by the annotation",
  "keep-alive": "the data plane has its own limits of idle connections",
  "keep-alive-requests": "the data plane has its own limits of idle connections",
  "log-format-upstream": "the access log has a format of its own",
  "log-format-escape-json": "the access log has a format of its own",
  "access-log-path": "the access log has a format of its own",
  "skip-access-log-urls": "the access log has a format of its own",
  "no-tls-redirect-locations": "only /.well-known/acme-challenge/ is never redirected",
  "no-auth-locations": "guards hold for every path of their Ingress",
  "enable-underscores-in-headers": "names of fields may have underscores",
  "proxy-redirect-from": "Location and Refresh of backends are passed on as they are",
  "proxy-stream-timeout": "connections of TCP and UDP have the data plane's own limits",
  "ssl-reject-handshake": "a name without certificate gets a self-signed one",
  "allow-cross-namespace-resources": "Secrets and ConfigMaps are of the Ingress's own namespace",
  "server-tokens":
    "no name of a server is added to answers, and that of a backend is passed on: hide-headers removes it",
  "forwarded-host-header": "the host is read from X-Forwarded-Host of trusted forwarders",
  "client-header-timeout": "the data plane has its own limits of slow clients",
  "client-body-timeout": "the data plane has its own limits of slow clients",
  "use-http2": "HTTP/2 is spoken to whoever asks for it",
  "use-geoip2": "addresses are not looked up in GeoIP2's tables",
  "ssl-early-data": "early data of TLS 1.3 is not taken",
  "allow-snippet-annotations": "a snippet is read into what it means, and never pasted",
  "allow-backend-server-header": "what a backend says of itself in Server is passed on",
  "generate-request-id": "X-Request-ID is kept when harmless, else made",
  "proxy-add-original-uri-header": "X-Original-Uri is not added",
  "otlp-collector-host": "where spans go is said by --tracing-endpoint URL, of OTLP over HTTP (port 4318)",
  "otlp-collector-port": "where spans go is said by --tracing-endpoint URL, of OTLP over HTTP (port 4318)",
  "otel-sampler": "traces of clients are recorded as they say, and of others the share of --tracing-sample",
  "otel-sampler-ratio": "the share is said by --tracing-sample",
  "otel-sampler-parent-based": "traces of clients are recorded as they say",
  "otel-service-name": "the name of spans' service is said by OTEL_SERVICE_NAME",
  "default-type": "a type that the backend does not say is not made up",
};

/** What would keep somebody out, and must not be missing in silence. */
const guards: Readonly<Record<string, string>> = {
  "block-user-agents": "clients are not told apart by what they call themselves",
  "block-referers": "clients are not told apart by what they call themselves",
  "enable-modsecurity": "there is no ModSecurity here",
  "enable-owasp-modsecurity-crs": "there is no ModSecurity here",
  "modsecurity-snippet": "there is no ModSecurity here",
  "main-snippet": "raw configuration is never pasted",
  "http-snippet": "raw configuration is never pasted",
  "server-snippet": "raw configuration is never pasted",
  "location-snippet": "raw configuration is never pasted",
  "stream-snippet": "raw configuration is never pasted",
  "global-auth-snippet": "raw configuration is never pasted",
};

const known = new Set<string>(servedOptions);

const no = /^false$/i;
const yes = /^true$/i;

/** Values that ask for what is done anyway. */
const same: Readonly<Record<string, RegExp>> = {
  "use-forwarded-headers": no,
  "compute-full-forwarded-for": no,
  "forwarded-for-header": /^x-forwarded-for$/i,
  "enable-real-ip": no,
  "server-tokens": no,
  "forwarded-host-header": /^x-forwarded-host$/i,
  "use-http2": yes,
  "use-geoip2": no,
  "ssl-early-data": no,
  "allow-snippet-annotations": yes,
  "use-proxy-protocol": no,
  "use-gzip": no,
  "enable-brotli": no,
  "ssl-protocols": /^TLSv1\.2 TLSv1\.3$/,
  "upstream-hash-by": /^$/,
  "log-format-escape-json": no,
  "no-tls-redirect-locations": /^\/\.well-known\/acme-challenge\/?$/,
  "generate-request-id": yes,
  "ssl-reject-handshake": no,
  "allow-cross-namespace-resources": no,
  "allow-backend-server-header": yes,
  "proxy-add-original-uri-header": no,
  "enable-modsecurity": no,
  "enable-owasp-modsecurity-crs": no,
  "proxy-redirect-from": /^off$/,
  "otel-sampler-parent-based": yes,
};

/** What becomes of a key of ingress-nginx's ConfigMap with this value. An empty one says nothing, as there. */
export function optionOf(name: string, value?: string): Disposition {
  const disposition = dispositionOfOption(name);
  if (disposition.kind === "served" || value === undefined) return disposition;
  const text = value.trim();
  return text === "" || (Object.hasOwn(same, name) && same[name]?.test(text)) ? { kind: "served" } : disposition;
}

function dispositionOfOption(name: string): Disposition {
  if (known.has(name)) return { kind: "served" };
  if (Object.hasOwn(guards, name)) return { kind: "refused", why: guards[name] ?? "" };
  if (Object.hasOwn(seen, name)) return { kind: "ignored", why: seen[name] ?? "", seen: true };
  return { kind: "ignored", why: "it tunes nginx itself" };
}
