/** Before every annotation of ingress-nginx. */
export const prefix = "nginx.ingress.kubernetes.io/";

/** What becomes of an annotation: it means the same here; it is not needed; or it is refused, since to leave it out would be unsafe. */
export type Disposition =
  | { readonly kind: "served" }
  /** `seen`: clients or backends may see that it is left out. `same`: values that ask for what is done anyway. */
  | { readonly kind: "ignored"; readonly why: string; readonly seen?: true; readonly same?: RegExp }
  | { readonly kind: "refused"; readonly why: string; readonly same?: RegExp };

const served: Disposition = { kind: "served" };
const ignored = (why: string): Disposition => ({ kind: "ignored", why });
/** Left out, and some will see it; unless the value asks for what is done anyway. */
const missing = (why: string, same?: RegExp): Disposition => ({
  kind: "ignored",
  why,
  seen: true,
  ...(same ? { same } : {}),
});
const refused = (why: string, same?: RegExp): Disposition => ({ kind: "refused", why, ...(same ? { same } : {}) });

/** As Go's ParseBool reads it. */
const no = /^(?:0|f|F|FALSE|false|False)?$/;

const buffers = ignored("bodies and answers are streamed here, and memory is bounded without it");
const subrequests = ignored("connections to the authorization service are kept and shared without it");
const modsecurity = refused(
  "there is no ModSecurity here: a firewall that is asked for must not be missing in silence",
  no,
);
const fastcgi = refused("FastCGI is not spoken");
const telling = ignored("it changes what is logged only");
const rawConfiguration = refused("raw configuration is never pasted");
const gone = ignored("ingress-nginx itself no longer knows it");
const own = ignored("ciphers and protocols are those that are safe today, for all hosts");

/** Every annotation that ingress-nginx knows or knew, without the prefix. */
export const annotations: Readonly<Record<string, Disposition>> = {
  "server-alias": served,
  "allowlist-source-range": served,
  "whitelist-source-range": served,
  "backend-protocol": served,
  "auth-realm": served,
  "auth-secret": served,
  "auth-secret-type": served,
  "auth-type": served,
  canary: served,
  "canary-by-cookie": served,
  "canary-by-header": served,
  "canary-by-header-pattern": served,
  "canary-by-header-value": served,
  "canary-weight": served,
  "canary-weight-total": served,
  "auth-tls-error-page": served,
  "auth-tls-match-cn": served,
  "auth-tls-pass-certificate-to-upstream": served,
  "auth-tls-secret": served,
  "auth-tls-verify-client": served,
  "auth-tls-verify-depth": served,
  "client-body-buffer-size": buffers,
  "configuration-snippet": served,
  "connection-proxy-header": served,
  "cors-allow-credentials": served,
  "cors-allow-headers": served,
  "cors-allow-methods": served,
  "cors-allow-origin": served,
  "cors-expose-headers": served,
  "cors-max-age": served,
  "enable-cors": served,
  "custom-headers": served,
  "custom-http-errors": served,
  "default-backend": served,
  "denylist-source-range": served,
  "disable-proxy-intercept-errors": served,
  "enable-global-auth": served,
  "auth-always-set-cookie": served,
  "auth-cache-duration": served,
  "auth-cache-key": served,
  "auth-keepalive": subrequests,
  "auth-keepalive-requests": subrequests,
  "auth-keepalive-share-vars": subrequests,
  "auth-keepalive-timeout": subrequests,
  "auth-method": served,
  "auth-proxy-set-headers": served,
  "auth-request-redirect": served,
  "auth-response-headers": served,
  "auth-signin": served,
  "auth-signin-redirect-param": served,
  "auth-snippet": served,
  "auth-url": served,
  "fastcgi-index": fastcgi,
  "fastcgi-params-configmap": fastcgi,
  "http2-push-preload": ignored("browsers no longer take pushes"),
  "load-balance": ignored("the endpoint with the fewest requests is taken, whoever that is"),
  "enable-access-log": served,
  "enable-rewrite-log": telling,
  "mirror-host": served,
  "mirror-request-body": served,
  "mirror-target": served,
  "enable-modsecurity": modsecurity,
  "enable-owasp-core-rules": modsecurity,
  "modsecurity-snippet": modsecurity,
  "modsecurity-transaction-id": modsecurity,
  "enable-opentelemetry": served,
  "opentelemetry-operation-name": served,
  "opentelemetry-trust-incoming-span": served,
  "proxy-body-size": served,
  "proxy-buffer-size": buffers,
  "proxy-buffering": buffers,
  "proxy-buffers-number": buffers,
  "proxy-busy-buffers-size": buffers,
  "proxy-connect-timeout": served,
  "proxy-cookie-domain": served,
  "proxy-cookie-path": served,
  "proxy-http-version": missing("HTTP/1.1 is spoken, or what backend-protocol says", /^1\.1$/),
  "proxy-max-temp-file-size": buffers,
  "proxy-next-upstream": served,
  "proxy-next-upstream-timeout": served,
  "proxy-next-upstream-tries": served,
  "proxy-read-timeout": served,
  "proxy-redirect-from": served,
  "proxy-redirect-to": served,
  "proxy-request-buffering": buffers,
  "proxy-send-timeout": ignored("proxy-read-timeout and the limit of an idle connection hold for sending too"),
  "proxy-ssl-ciphers": own,
  "proxy-ssl-name": served,
  "proxy-ssl-protocols": own,
  "proxy-ssl-secret": served,
  "proxy-ssl-server-name": ignored(
    "the server name is sent when proxy-ssl-name says one, or the certificate is verified",
  ),
  "proxy-ssl-verify": served,
  "proxy-ssl-verify-depth": served,
  "limit-allowlist": served,
  "limit-burst-multiplier": served,
  "limit-connections": served,
  "limit-rate": served,
  "limit-rate-after": served,
  "limit-rpm": served,
  "limit-rps": served,
  "limit-whitelist": served,
  "from-to-www-redirect": served,
  "permanent-redirect": served,
  "permanent-redirect-code": served,
  "relative-redirects": served,
  "temporal-redirect": served,
  "temporal-redirect-code": served,
  "app-root": served,
  "force-ssl-redirect": served,
  "preserve-trailing-slash": served,
  "rewrite-target": served,
  "ssl-redirect": served,
  "use-regex": served,
  satisfy: served,
  "server-snippet": served,
  "service-upstream": served,
  affinity: served,
  "affinity-canary-behavior": served,
  "affinity-mode": served,
  "session-cookie-change-on-failure": ignored("a client whose endpoint fails gets another one for good"),
  "session-cookie-conditional-samesite-none": ignored("browsers that need it are gone"),
  "session-cookie-domain": served,
  "session-cookie-expires": served,
  "session-cookie-max-age": served,
  "session-cookie-name": served,
  "session-cookie-path": served,
  "session-cookie-samesite": served,
  "session-cookie-secure": served,
  "ssl-ciphers": own,
  "ssl-prefer-server-ciphers": own,
  "ssl-passthrough": served,
  "stream-snippet": rawConfiguration,
  "upstream-hash-by": served,
  "upstream-hash-by-subset": served,
  "upstream-hash-by-subset-size": served,
  "upstream-vhost": served,
  "use-port-in-redirects": served,
  "x-forwarded-prefix": served,
  // Names of former versions, which are still on live objects.
  "secure-backends": gone,
  "session-cookie-hash": gone,
  "enable-websockets": gone,
  "grpc-backend": gone,
  "add-base-url": gone,
  "base-url-scheme": gone,
  "ssl-redirect-code": gone,
  "lua-resty-waf": modsecurity,
  "global-rate-limit": refused(
    "a limit over several processes is not kept; limit-rps and limit-rpm are, for each process",
  ),
  "global-rate-limit-window": gone,
  "global-rate-limit-key": gone,
  "global-rate-limit-ignored-cidrs": gone,
  "enable-influxdb": gone,
  "lua-resty-waf-mode": gone,
};

/** What becomes of an annotation by its whole name and value; `undefined` when it is none of ingress-nginx's. */
export function dispositionOf(name: string, value?: string): Disposition | undefined {
  if (!name.startsWith(prefix)) return undefined;
  const short = name.slice(prefix.length);
  const found = Object.hasOwn(annotations, short) ? annotations[short] : undefined;
  return found ? forValue(found, value) : ignored("ingress-nginx does not know it either");
}

/** What becomes of it with this value: nothing is left out where it asks for what is done anyway. */
function forValue(disposition: Disposition, value: string | undefined): Disposition {
  const isSame = disposition.kind !== "served" && value !== undefined && disposition.same?.test(value.trim());
  return isSame ? served : disposition;
}
