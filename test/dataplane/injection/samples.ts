// Objects that reach a data plane, well-formed and with every string that their kind has: of each kind as many as it takes to have them all.
import { resources, type Resource } from "../../../src/kube/index.ts";
import { annotations } from "../../../src/routing/ingress-nginx/annotations.ts";
import { gatewayResources as gateway } from "../../../src/routing/index.ts";
import { prefix } from "../../ingress-nginx/fixture.ts";
import { selfSigned } from "../certificates.ts";
import type { JsonObject } from "./places.ts";

export interface Placed {
  readonly resource: Resource;
  readonly object: JsonObject;
}

/** An object whose strings are to be changed, and those that it needs to mean something. */
export interface Sample {
  readonly of: Placed;
  readonly others: readonly Placed[];
}

/** Makes a sample of which no name is another's. */
export type MakeSample = (n: number) => Sample;

export const namespace = "shop";

const pair = selfSigned(["a.test"]);
const base64 = (text: string): string => Buffer.from(text, "latin1").toString("base64");

const placed = (resource: Resource, name: string, rest: JsonObject, more: JsonObject = {}): Placed => ({
  resource,
  object: { metadata: { name, ...(resource.namespaced ? { namespace } : {}), ...more }, ...rest },
});

const secret = (name: string, data: Readonly<Record<string, string>>, type = "kubernetes.io/tls"): Placed =>
  placed(resources.Secret, name, {
    type,
    data: Object.fromEntries(Object.entries(data).map(([each, text]) => [each, base64(text)])),
  });

const configMap = (name: string): Placed => placed(resources.ConfigMap, name, { data: { "ca.crt": pair["tls.crt"] } });

const service = (name: string, more: JsonObject = {}, port: JsonObject = {}): Placed =>
  placed(resources.Service, name, {
    spec: { type: "ClusterIP", ports: [{ name: `port-${name}`, protocol: "TCP", port: 80, ...port }], ...more },
  });

const slice = (name: string, of: string, more: JsonObject = {}): Placed =>
  placed(
    resources.EndpointSlice,
    name,
    {
      addressType: "IPv4",
      ports: [{ name: `port-${of}`, protocol: "TCP", port: 9 }],
      endpoints: [{ addresses: ["127.0.0.1"], conditions: { ready: true } }],
      ...more,
    },
    { labels: { "kubernetes.io/service-name": of } },
  );

const to = (name: string, port = 80): JsonObject => ({ group: "", kind: "Service", name, port, weight: 1 });
const ours = (name: string, sectionName: string): JsonObject => ({
  group: "gateway.networking.k8s.io",
  kind: "Gateway",
  namespace,
  name,
  sectionName,
});
const reference = (kind: string, name: string): JsonObject => ({ group: "", kind, namespace, name });

const httpRoute = (n: number, parent: string, rules: JsonObject[], sectionName = "http"): Placed =>
  placed(gateway.HTTPRoute, `route-${n}`, {
    spec: { parentRefs: [ours(parent, sectionName)], hostnames: [`h${n}.test`], rules },
  });

const field = (name: string, type = "Exact", value = "x"): JsonObject => ({ type, name, value });
const change = (name: string): JsonObject => ({
  set: [{ name: `x-set-${name}`, value: "v" }],
  add: [{ name: `x-add-${name}`, value: "v" }],
  remove: [`x-remove-${name}`],
});

const listener = (name: string, port: number, protocol: string, more: JsonObject = {}): JsonObject => ({
  name,
  port,
  protocol,
  ...more,
});
const allowed: JsonObject = {
  namespaces: {
    from: "Selector",
    selector: {
      matchLabels: { "kubernetes.io/metadata.name": namespace },
      matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "In", values: [namespace] }],
    },
  },
  kinds: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute" }],
};
const ending = (secretName: string): JsonObject => ({
  mode: "Terminate",
  certificateRefs: [reference("Secret", secretName)],
  options: { "example.test/option": "v" },
});

const aGateway = (n: number, listeners: JsonObject[], spec: JsonObject = {}): Placed =>
  placed(gateway.Gateway, `gateway-${n}`, { spec: { gatewayClassName: "fairlead", listeners, ...spec } });

/** What a Gateway of class `fairlead` named `gw`, Service `web` and namespace `shop` are for. */
export const gatewaySamples: readonly MakeSample[] = [
  (n) => ({
    of: placed(gateway.GatewayClass, `class-${n}`, {
      spec: {
        controllerName: "fairlead.dev/gateway",
        description: "d",
        parametersRef: { group: "", kind: "ConfigMap", namespace, name: "p" },
      },
    }),
    others: [
      placed(gateway.Gateway, `gateway-${n}`, {
        spec: { gatewayClassName: `class-${n}`, listeners: [listener("http", 80, "HTTP")] },
      }),
      httpRoute(n, `gateway-${n}`, [{ backendRefs: [to("web")] }]),
    ],
  }),
  (n) => ({
    of: {
      resource: gateway.Gateway,
      object: {
        metadata: { name: `gateway-${n}`, namespace, labels: { l: "v" }, annotations: { a: "v" } },
        spec: {
          gatewayClassName: "fairlead",
          listeners: [
            listener("http", 80, "HTTP", { hostname: `h${n}.test`, allowedRoutes: allowed }),
            listener("https", 443, "HTTPS", { hostname: `*.h${n}.test`, tls: ending(`secret-${n}`) }),
          ],
          addresses: [{ type: "IPAddress", value: "10.0.0.1" }],
          infrastructure: {
            labels: { l: "v" },
            annotations: { a: "v" },
            parametersRef: { group: "", kind: "ConfigMap", name: "p" },
          },
          allowedListeners: { namespaces: { from: "Same" } },
          tls: {
            backend: { clientCertificateRef: reference("Secret", `secret-${n}`) },
            frontend: {
              default: {
                validation: { caCertificateRefs: [reference("ConfigMap", `map-${n}`)], mode: "AllowInsecureFallback" },
              },
            },
          },
        },
      },
    },
    others: [
      secret(`secret-${n}`, pair),
      configMap(`map-${n}`),
      httpRoute(n, `gateway-${n}`, [{ backendRefs: [to("web")] }]),
    ],
  }),
  (n) => ({
    of: placed(gateway.ListenerSet, `set-${n}`, {
      spec: {
        parentRef: { group: "gateway.networking.k8s.io", kind: "Gateway", namespace, name: `gateway-${n}` },
        listeners: [
          listener("more", 81, "HTTP", { hostname: `h${n}.test`, allowedRoutes: allowed }),
          listener("secure", 444, "HTTPS", { hostname: `h${n}.test`, tls: ending(`secret-${n}`) }),
        ],
      },
    }),
    others: [
      aGateway(n, [listener("http", 80, "HTTP")], { allowedListeners: { namespaces: { from: "Same" } } }),
      secret(`secret-${n}`, pair),
      placed(gateway.HTTPRoute, `route-${n}`, {
        spec: {
          parentRefs: [{ kind: "ListenerSet", name: `set-${n}`, sectionName: "more" }],
          rules: [{ backendRefs: [to("web")] }],
        },
      }),
    ],
  }),
  (n) => ({
    of: httpRoute(n, "gw", [
      {
        name: "matches",
        matches: [
          {
            path: { type: "PathPrefix", value: "/a/b" },
            headers: [field("x-exact"), field("x-regex", "RegularExpression", "^a+$")],
            queryParams: [field("exact"), field("regex", "RegularExpression", "^a+$")],
            method: "GET",
          },
          { path: { type: "Exact", value: "/exact" } },
          { path: { type: "RegularExpression", value: "/r(a|b)+" } },
        ],
        timeouts: { request: "10s", backendRequest: "5s" },
        retry: { codes: [503], attempts: 2, backoff: "100ms" },
        sessionPersistence: { sessionName: "s", type: "Cookie", absoluteTimeout: "1h" },
        backendRefs: [
          {
            ...to("web"),
            filters: [{ type: "RequestHeaderModifier", requestHeaderModifier: change("backend") }],
          },
        ],
      },
    ]),
    others: [],
  }),
  (n) => ({
    of: httpRoute(n, "gw", [
      {
        matches: [{ path: { type: "PathPrefix", value: "/fields" } }],
        filters: [
          { type: "RequestHeaderModifier", requestHeaderModifier: change("request") },
          { type: "ResponseHeaderModifier", responseHeaderModifier: change("response") },
          { type: "RequestMirror", requestMirror: { backendRef: to("web"), percent: 50 } },
          { type: "URLRewrite", urlRewrite: { hostname: "other.test", path: rewriting("ReplacePrefixMatch") } },
          {
            type: "CORS",
            cors: {
              allowOrigins: ["https://a.test", "https://*.b.test"],
              allowMethods: ["GET"],
              allowHeaders: ["x-a"],
              exposeHeaders: ["x-b"],
              maxAge: 5,
            },
          },
        ],
        backendRefs: [to("web")],
      },
      {
        matches: [{ path: { type: "PathPrefix", value: "/full" } }],
        filters: [{ type: "URLRewrite", urlRewrite: { path: rewriting("ReplaceFullPath") } }],
        backendRefs: [to("web")],
      },
      {
        matches: [{ path: { type: "PathPrefix", value: "/redirect" } }],
        filters: [
          {
            type: "RequestRedirect",
            requestRedirect: { scheme: "https", hostname: "y.test", path: rewriting("ReplaceFullPath"), port: 8443 },
          },
        ],
      },
      {
        matches: [{ path: { type: "PathPrefix", value: "/extension" } }],
        filters: [{ type: "ExtensionRef", extensionRef: { group: "example.test", kind: "Filter", name: "f" } }],
        backendRefs: [to("web")],
      },
    ]),
    others: [],
  }),
  (n) => ({
    of: placed(gateway.GRPCRoute, `route-${n}`, {
      spec: {
        parentRefs: [ours("gw", "http")],
        hostnames: [`h${n}.test`, `*.h${n}.test`],
        rules: [
          {
            name: "calls",
            matches: [
              {
                method: { type: "Exact", service: "pkg.Service", method: "Call" },
                headers: [field("x-exact"), field("x-regex", "RegularExpression", "^a+$")],
              },
              { method: { type: "RegularExpression", service: "pkg\\..*", method: "C.*" } },
              { method: { type: "Exact", method: "Only" } },
            ],
            filters: [{ type: "RequestHeaderModifier", requestHeaderModifier: change("request") }],
            backendRefs: [to("web")],
          },
        ],
      },
    }),
    others: [],
  }),
  ...(["TLSRoute", "TCPRoute", "UDPRoute"] as const).map((kind): MakeSample => (n) => {
    const protocol = kind.slice(0, 3);
    const name = `svc-${n}`;
    return {
      of: placed(gateway[kind], `route-${n}`, {
        spec: {
          parentRefs: [ours(`gateway-${n}`, "stream")],
          ...(kind === "TLSRoute" ? { hostnames: [`h${n}.test`, `*.h${n}.test`] } : {}),
          rules: [{ name: "all", backendRefs: [to(name), { ...to("web"), weight: 2 }] }],
        },
      }),
      others: [
        aGateway(n, [listener("stream", 9000, protocol, protocol === "TLS" ? { tls: { mode: "Passthrough" } } : {})]),
        service(name, {}, { protocol: protocol === "UDP" ? "UDP" : "TCP" }),
        slice(`slice-${n}`, name),
      ],
    };
  }),
  // Connections whose TLS ends here.
  (n) => ({
    of: placed(gateway.TLSRoute, `route-${n}`, {
      spec: {
        parentRefs: [ours(`gateway-${n}`, "stream")],
        hostnames: [`h${n}.test`],
        rules: [{ backendRefs: [to("web")] }],
      },
    }),
    others: [
      aGateway(n, [listener("stream", 9000, "TLS", { hostname: `*.test`, tls: ending(`secret-${n}`) })]),
      secret(`secret-${n}`, pair),
    ],
  }),
  (n) => ({
    of: {
      resource: gateway.ReferenceGrant,
      object: {
        metadata: { name: `grant-${n}`, namespace: "vault" },
        spec: {
          from: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", namespace }],
          to: [{ group: "", kind: "Service", name: `svc-${n}` }],
        },
      },
    },
    others: [
      {
        resource: resources.Service,
        object: {
          metadata: { name: `svc-${n}`, namespace: "vault" },
          spec: { type: "ClusterIP", ports: [{ name: "http", protocol: "TCP", port: 80 }] },
        },
      },
      httpRoute(n, "gw", [{ backendRefs: [{ ...to(`svc-${n}`), namespace: "vault" }] }]),
    ],
  }),
  (n) => ({
    of: placed(gateway.BackendTLSPolicy, `policy-${n}`, {
      spec: {
        targetRefs: [{ group: "", kind: "Service", name: `svc-${n}`, sectionName: `port-svc-${n}` }],
        validation: {
          caCertificateRefs: [{ group: "", kind: "ConfigMap", name: `map-${n}` }],
          hostname: "backend.test",
          subjectAltNames: [
            { type: "Hostname", hostname: "other.test" },
            { type: "URI", uri: "spiffe://a.test/b" },
          ],
        },
        options: { "example.test/option": "v" },
      },
    }),
    others: backendWithTls(n),
  }),
  // Without other names it is understood by all data planes.
  (n) => ({
    of: policy(n),
    others: backendWithTls(n),
  }),
  (n) => ({
    of: placed(gateway.BackendTLSPolicy, `policy-${n}`, {
      spec: {
        targetRefs: [{ group: "", kind: "Service", name: `svc-${n}` }],
        validation: { wellKnownCACertificates: "System", hostname: `backend-${n}.test` },
      },
    }),
    others: backendWithTls(n),
  }),
  (n) => ({
    of: configMap(`map-${n}`),
    others: [policy(n), ...backendWithTls(n).filter(({ resource }) => resource !== resources.ConfigMap)],
  }),
  (n) => ({
    of: secret(`secret-${n}`, pair),
    others: [aGateway(n, [listener("https", 443, "HTTPS", { tls: ending(`secret-${n}`) })])],
  }),
  (n) => ({
    of: {
      resource: resources.Service,
      object: {
        metadata: { name: `svc-${n}`, namespace, labels: { l: "v" }, annotations: { a: "v" } },
        spec: {
          type: "ClusterIP",
          clusterIP: "10.96.0.9",
          clusterIPs: ["10.96.0.9"],
          ipFamilies: ["IPv4"],
          ipFamilyPolicy: "SingleStack",
          selector: { app: "web" },
          sessionAffinity: "None",
          ports: [
            { name: `port-svc-${n}`, protocol: "TCP", port: 80, targetPort: "http", appProtocol: "kubernetes.io/h2c" },
          ],
        },
      },
    },
    others: [slice(`slice-${n}`, `svc-${n}`), httpRoute(n, "gw", [{ backendRefs: [to(`svc-${n}`)] }])],
  }),
  (n) => ({
    of: {
      resource: resources.EndpointSlice,
      object: {
        metadata: {
          name: `slice-${n}`,
          namespace,
          labels: { "kubernetes.io/service-name": `svc-${n}`, l: "v" },
          annotations: { a: "v" },
        },
        addressType: "IPv4",
        ports: [{ name: `port-svc-${n}`, protocol: "TCP", port: 9, appProtocol: "http" }],
        endpoints: [
          {
            addresses: ["127.0.0.1", "127.0.0.2"],
            conditions: { ready: true },
            hostname: "pod",
            nodeName: "node",
            zone: "zone",
            targetRef: { kind: "Pod", name: "pod", namespace, uid: "u" },
            hints: { forZones: [{ name: "zone" }] },
          },
        ],
      },
    },
    others: [
      service(`svc-${n}`),
      httpRoute(n, "gw", [{ backendRefs: [to(`svc-${n}`)] }]),
      placed(gateway.TCPRoute, `tcp-${n}`, {
        spec: { parentRefs: [ours(`gateway-${n}`, "stream")], rules: [{ backendRefs: [to(`svc-${n}`)] }] },
      }),
      aGateway(n, [listener("stream", 9000, "TCP")]),
    ],
  }),
];

function rewriting(type: "ReplaceFullPath" | "ReplacePrefixMatch"): JsonObject {
  return type === "ReplaceFullPath" ? { type, replaceFullPath: "/x/y" } : { type, replacePrefixMatch: "/x/y" };
}

function policy(n: number): Placed {
  return placed(gateway.BackendTLSPolicy, `policy-${n}`, {
    spec: {
      targetRefs: [{ group: "", kind: "Service", name: `svc-${n}` }],
      validation: {
        caCertificateRefs: [{ group: "", kind: "ConfigMap", name: `map-${n}` }],
        hostname: `backend-${n}.test`,
      },
    },
  });
}

function backendWithTls(n: number): Placed[] {
  const name = `svc-${n}`;
  return [
    service(name),
    slice(`slice-${n}`, name),
    configMap(`map-${n}`),
    httpRoute(n, "gw", [{ backendRefs: [to(name)] }]),
  ];
}

/** Values with which an annotation means something; of those that are not here, an address will do. */
const usual: Readonly<Record<string, string>> = {
  "allowlist-source-range": "10.0.0.0/8,127.0.0.0/8",
  "whitelist-source-range": "10.0.0.0/8,127.0.0.0/8",
  "denylist-source-range": "192.0.2.0/24",
  "limit-allowlist": "10.0.0.0/8",
  "limit-whitelist": "10.0.0.0/8",
  "backend-protocol": "HTTPS",
  "auth-realm": "realm",
  "auth-secret": "users",
  "auth-secret-type": "auth-file",
  "auth-type": "basic",
  "auth-method": "GET",
  "auth-response-headers": "x-user, x-group",
  "auth-request-redirect": "https://a.test/$request_uri",
  "auth-signin": "https://a.test/in?rd=$escaped_request_uri",
  "auth-signin-redirect-param": "rd",
  "auth-url": "http://web.shop.svc.cluster.local/check?u=$request_uri",
  "auth-tls-secret": "shop/ca",
  "auth-tls-match-cn": "CN=.*",
  "auth-tls-verify-client": "on",
  "auth-tls-verify-depth": "1",
  "auth-tls-pass-certificate-to-upstream": "true",
  "auth-tls-error-page": "https://a.test/error",
  canary: "true",
  "canary-by-cookie": "c",
  "canary-by-header": "x-canary",
  "canary-by-header-pattern": "a|b",
  "canary-by-header-value": "v",
  "canary-weight": "10",
  "canary-weight-total": "100",
  "configuration-snippet": 'more_set_headers "X-A: b"; proxy_set_header X-C "d";',
  "cors-allow-credentials": "true",
  "cors-allow-headers": "x-a, x-b",
  "cors-allow-methods": "GET, PUT",
  "cors-allow-origin": "https://a.test, https://*.b.test",
  "cors-expose-headers": "x-a",
  "cors-max-age": "60",
  "enable-cors": "true",
  "custom-http-errors": "404,503",
  "default-backend": "web",
  "limit-connections": "5",
  "limit-rpm": "5",
  "limit-rps": "5",
  "limit-burst-multiplier": "2",
  "limit-rate": "700",
  "limit-rate-after": "20",
  "connection-proxy-header": "close",
  "mirror-target": "http://web.shop.svc.cluster.local$request_uri",
  "permanent-redirect": "https://a.test/$1",
  "temporal-redirect": "https://a.test/",
  "permanent-redirect-code": "308",
  "temporal-redirect-code": "307",
  "proxy-body-size": "8m",
  "proxy-connect-timeout": "5",
  "proxy-next-upstream": "error http_503",
  "proxy-next-upstream-timeout": "5",
  "proxy-next-upstream-tries": "2",
  "proxy-read-timeout": "60",
  "proxy-ssl-name": "backend.test",
  "proxy-ssl-secret": "shop/ca",
  "proxy-ssl-verify": "on",
  "proxy-ssl-verify-depth": "2",
  "rewrite-target": "/x/$1",
  "app-root": "/app",
  "server-alias": "alias.test",
  satisfy: "any",
  affinity: "cookie",
  "affinity-mode": "persistent",
  "affinity-canary-behavior": "legacy",
  "session-cookie-name": "stay",
  "session-cookie-path": "/p",
  "session-cookie-domain": "a.test",
  "session-cookie-expires": "60",
  "session-cookie-max-age": "60",
  "session-cookie-samesite": "Lax",
  "session-cookie-secure": "true",
  "upstream-hash-by": "$request_uri$http_x_a",
  "upstream-hash-by-subset": "true",
  "upstream-hash-by-subset-size": "2",
  "upstream-vhost": "other.test",
  "x-forwarded-prefix": "/prefix",
  "opentelemetry-operation-name": "$request_method $service_name",
};

/** What must be there for an annotation to be looked at at all. */
const companions: readonly (readonly [RegExp, Readonly<Record<string, string>>])[] = [
  [/^(?:auth-(?:realm|secret|secret-type|type)|satisfy)$/, { "auth-type": "basic", "auth-secret": "users" }],
  [/^auth-tls-/, { "auth-tls-secret": "shop/ca" }],
  [/^auth-(?!tls-|realm$|secret|type$)/, { "auth-url": "http://web.shop.svc.cluster.local/" }],
  [/^canary-/, { canary: "true" }],
  [/^cors-/, { "enable-cors": "true" }],
  [/^limit-rate-after$/, { "limit-rate": "700" }],
  [/^(?:session-cookie|affinity)/, { affinity: "cookie" }],
  [/^upstream-hash-by-/, { "upstream-hash-by": "$request_uri", "upstream-hash-by-subset": "true" }],
  [/^proxy-ssl-/, { "proxy-ssl-secret": "shop/ca", "backend-protocol": "HTTPS" }],
  [/^(?:rewrite-target|permanent-redirect)$/, { "use-regex": "true" }],
  [/^custom-http-errors$/, { "default-backend": "web" }],
];

const path = (value: string, pathType: string, name: string, port: JsonObject = { number: 80 }): JsonObject => ({
  path: value,
  pathType,
  backend: { service: { name, port } },
});
const rule = (host: string, ...paths: JsonObject[]): JsonObject => ({ host, http: { paths } });

const ingress = (n: number, spec: JsonObject, annotated: Readonly<Record<string, string>> = {}): Placed =>
  placed(
    resources.Ingress,
    `ingress-${n}`,
    { spec: { ingressClassName: "nginx", ...spec } },
    { annotations: Object.fromEntries(Object.entries(annotated).map(([name, text]) => [prefix + name, text])) },
  );

/** What ingress-nginx's ConfigMap may say. */
export const options: Readonly<Record<string, string>> = {
  "ssl-redirect": "true",
  "force-ssl-redirect": "false",
  "http-redirect-code": "308",
  "proxy-body-size": "8m",
  "proxy-connect-timeout": "5",
  "proxy-next-upstream": "error timeout",
  "proxy-next-upstream-timeout": "5",
  "proxy-next-upstream-tries": "2",
  "proxy-read-timeout": "60",
  "retry-non-idempotent": "false",
  "whitelist-source-range": "127.0.0.0/8",
  "denylist-source-range": "192.0.2.0/24",
  "custom-http-errors": "404,503",
  "limit-req-status-code": "429",
  "limit-conn-status-code": "429",
  "global-auth-url": "http://web.shop.svc.cluster.local/",
  "global-auth-method": "GET",
  "global-auth-signin": "https://a.test/in",
  "global-auth-signin-redirect-param": "rd",
  "global-auth-response-headers": "x-user",
  "global-auth-request-redirect": "https://a.test/$request_uri",
  "global-auth-always-set-cookie": "true",
  hsts: "true",
  "hsts-max-age": "60",
  "hsts-include-subdomains": "true",
  "hsts-preload": "true",
  "hide-headers": "x-powered-by",
  "add-headers": "shop/headers",
  "proxy-set-headers": "shop/headers",
  "global-allowed-response-headers": "x-user",
  "relative-redirects": "true",
  "server-snippet": "listen 9;",
  "log-format-upstream": "$host",
};

/** What Services `web`, the Secrets `users` and `ca` and the classes `nginx` and `fairlead` are for. */
export const ingressSamples: readonly MakeSample[] = [
  ...["nginx", "fairlead"].map((ingressClassName): MakeSample => (n) => ({
    of: {
      resource: resources.Ingress,
      object: {
        metadata: { name: `ingress-${n}`, namespace, uid: `uid-${n}`, labels: { l: "v" }, annotations: { a: "v" } },
        spec: {
          ingressClassName,
          rules: [
            rule(
              `h${n}.test`,
              path("/prefix", "Prefix", `svc-${n}`),
              path("/exact", "Exact", `svc-${n}`, { name: `port-svc-${n}` }),
              path("/specific", "ImplementationSpecific", `svc-${n}`),
              {
                path: "/resource",
                pathType: "Prefix",
                backend: { resource: { apiGroup: "g", kind: "K", name: "r" } },
              },
            ),
            rule(`*.h${n}.test`, path("/", "Prefix", "web")),
          ],
          defaultBackend: { service: { name: `svc-${n}`, port: { name: `port-svc-${n}` } } },
          tls: [{ hosts: [`h${n}.test`], secretName: `secret-${n}` }],
        },
      },
    },
    others: [service(`svc-${n}`), slice(`slice-${n}`, `svc-${n}`), secret(`secret-${n}`, pair)],
  })),
  ...Object.keys(annotations).map((name): MakeSample => (n) => ({
    of: ingress(
      n,
      { rules: [rule(`h${n}.test`, path("/(a|b)", "ImplementationSpecific", "web"))] },
      {
        ...companions.find(([names]) => names.test(name))?.[1],
        [name]: usual[name] ?? "http://x.test/",
      },
    ),
    others: [],
  })),
  (n) => ({
    of: placed(resources.ConfigMap, `map-${n}`, { data: { "x-a": "b", "x-c": "$host d" } }),
    others: ["custom-headers", "auth-proxy-set-headers"].map((name, index) =>
      ingress(
        n + index * 1_000_000,
        { rules: [rule(`h${index}-${n}.test`, path("/", "Prefix", "web"))] },
        { [name]: `shop/map-${n}`, ...(index === 0 ? {} : { "auth-url": "http://web.shop.svc.cluster.local/" }) },
      ),
    ),
  }),
  (n) => ({
    of: placed(resources.IngressClass, `class-${n}`, {
      spec: {
        controller: "k8s.io/ingress-nginx",
        parameters: { apiGroup: "g", kind: "K", name: "p", namespace, scope: "Namespace" },
      },
    }),
    others: [ingress(n, { ingressClassName: `class-${n}`, rules: [rule(`h${n}.test`, path("/", "Prefix", "web"))] })],
  }),
  (n) => ({
    of: secret(`secret-${n}`, pair),
    others: [
      ingress(n, {
        rules: [rule(`h${n}.test`, path("/", "Prefix", "web"))],
        tls: [{ hosts: [`h${n}.test`], secretName: `secret-${n}` }],
      }),
    ],
  }),
  ...(["auth-file", "auth-map"] as const).flatMap((layout) =>
    (["basic", "digest"] as const).map((type): MakeSample => (n) => ({
      of: secret(
        `secret-${n}`,
        layout === "auth-file"
          ? { auth: `ann:{PLAIN}secret\nbob:realm:${"0".repeat(32)}` }
          : { ann: "{PLAIN}secret", bob: "$apr1$x$y" },
        "Opaque",
      ),
      others: [
        ingress(
          n,
          { rules: [rule(`h${n}.test`, path("/", "Prefix", "web"))] },
          { "auth-type": type, "auth-secret": `secret-${n}`, "auth-secret-type": layout },
        ),
      ],
    })),
  ),
  (n) => ({
    of: secret(`secret-${n}`, { "ca.crt": pair["tls.crt"], ...pair }),
    others: [
      ingress(
        n,
        {
          rules: [rule(`h${n}.test`, path("/", "Prefix", "web"))],
          tls: [{ hosts: [`h${n}.test`], secretName: `secret-${n}` }],
        },
        { "auth-tls-secret": `shop/secret-${n}` },
      ),
      ingress(
        n + 1_000_000,
        { rules: [rule(`b${n}.test`, path("/", "Prefix", "web"))] },
        { "proxy-ssl-secret": `shop/secret-${n}`, "proxy-ssl-verify": "on", "backend-protocol": "HTTPS" },
      ),
    ],
  }),
  (n) => ({
    of: service(`svc-${n}`, { ipFamilies: ["IPv4"] }, { appProtocol: "http", targetPort: "http" }),
    others: [
      slice(`slice-${n}`, `svc-${n}`),
      ingress(n, {
        rules: [rule(`h${n}.test`, path("/", "Prefix", `svc-${n}`, { name: `port-svc-${n}` }))],
      }),
    ],
  }),
  (n) => ({
    of: slice(`slice-${n}`, `svc-${n}`),
    others: [
      service(`svc-${n}`),
      ingress(n, { rules: [rule(`h${n}.test`, path("/", "Prefix", `svc-${n}`))] }, { affinity: "cookie" }),
    ],
  }),
];
