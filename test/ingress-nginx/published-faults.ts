import type { IngressSpec } from "../../src/kube/index.ts";
import type { PathSpec } from "./fixture.ts";

/** The shape of a published fault of ingress-nginx: objects that once became configuration. */
export interface PublishedFault {
  /** Numbers of the advisories. */
  readonly name: string;
  readonly what: string;
  /** Without their prefix. */
  readonly annotations?: Readonly<Record<string, string>>;
  readonly paths?: readonly PathSpec[];
  readonly more?: Partial<IngressSpec>;
  /** Data of a Secret `faulty`, which annotations name. */
  readonly secret?: Readonly<Record<string, string>>;
  /** Data of a ConfigMap `faulty`. */
  readonly configMap?: Readonly<Record<string, string>>;
  /** uid of the Ingress. */
  readonly uid?: string;
}

/** In each of them: it must be found in no configuration. */
export const mark = "fl_evil";

const server = `}} server { listen 1; server_name ${mark}; location / { return 200 ${mark}; } } {{`;
const directive = `; } location /${mark} { return 200 ${mark}; } #`;
const engine = `;\n\n}\nssl_engine /proc/self/fd/9; # ${mark}\n`;
const path = (value: string, pathType = "ImplementationSpecific"): readonly PathSpec[] => [{ path: value, pathType }];

export const publishedFaults: readonly PublishedFault[] = [
  {
    name: "CVE-2021-25742",
    what: "a snippet reads the token of the service account",
    annotations: {
      "configuration-snippet": `alias /var/run/secrets/kubernetes.io/serviceaccount/; # ${mark}`,
      "server-snippet": `location ^~ /${mark} { alias /var/run/secrets/kubernetes.io/serviceaccount/; }`,
    },
  },
  { name: "CVE-2021-25745", what: "a path ends its location", paths: path(`/a/${directive}`) },
  {
    name: "CVE-2021-25746",
    what: "values of annotations end their directive",
    annotations: {
      "proxy-read-timeout": `60s${directive}`,
      "auth-realm": `"${directive}`,
      "proxy-buffer-size": `4k${directive}`,
      "cors-allow-headers": `X-A${directive}`,
      "enable-cors": "true",
      "upstream-vhost": `a${directive}`,
      "x-forwarded-prefix": `/a"${directive}`,
    },
  },
  { name: "CVE-2021-25748", what: "a path with a line break passes the filter", paths: path(`/a\n${directive}`) },
  {
    name: "CVE-2022-4886",
    what: "a path with a directive that writes files",
    paths: path(`/a {} log_format ${mark} escape=none; access_log /tmp/${mark} ${mark}; location /b`),
  },
  { name: "CVE-2023-5043", what: "a snippet beyond its block", annotations: { "configuration-snippet": server } },
  {
    name: "CVE-2023-5044",
    what: "the target of a redirect",
    annotations: {
      "permanent-redirect": `https://x.test/;}${directive}`,
      "permanent-redirect-code": `301${directive}`,
    },
  },
  {
    name: "CVE-2024-7646",
    what: "a carriage return in an annotation",
    annotations: {
      "auth-tls-verify-client": `on\r${directive}`,
      "rewrite-target": `/\r${server}`,
      "app-root": `/\r${server}`,
    },
  },
  {
    name: "CVE-2025-24513",
    what: "names of a Secret and its keys as paths of files",
    annotations: { "auth-type": "basic", "auth-secret": `../../${mark}/faulty`, "auth-realm": "r" },
    secret: { [`../../${mark}`]: "user:x" },
  },
  {
    name: "CVE-2025-24514",
    what: "the address of an authorization service",
    annotations: { "auth-url": `http://x.test/#${engine}`, "auth-signin": `http://x.test/"${engine}` },
  },
  {
    name: "CVE-2025-1097",
    what: "the pattern for the name in a client's certificate",
    annotations: { "auth-tls-secret": "shop/faulty", "auth-tls-match-cn": `CN=abc #(\n){}\n${engine}` },
  },
  {
    name: "CVE-2025-1098",
    what: "mirrors, and the uid that is in names of locations",
    annotations: {
      "mirror-target": `http://x.test/${engine}`,
      "mirror-host": `x${directive}`,
      "mirror-request-body": `off${directive}`,
    },
    uid: `0-0${directive}`,
  },
  {
    name: "CVE-2025-1974",
    what: "what a webhook was sent by anybody: an Ingress whose configuration loads a library",
    annotations: { "auth-url": `http://x.test/#;load_module test;\n${mark}` },
    uid: `InjectTest#;\n\n}\n}\n}\nssl_engine ../../../../proc/1/fd/1 ${mark};\n#`,
  },
  {
    name: "CVE-2025-15566",
    what: "header fields for the authorization service",
    annotations: { "auth-url": "http://x.test/", "auth-proxy-set-headers": "shop/faulty" },
    configMap: { [`X-A "a";}${server}#`]: "v", "X-B": `"${directive}` },
  },
  {
    name: "CVE-2026-1580",
    what: "the method of the authorization request",
    annotations: { "auth-url": "http://x.test/", "auth-method": `GET${directive}` },
  },
  { name: "CVE-2026-24512", what: "a path of a rule", paths: path(`/a" { } } ${server} location "/b`, "Prefix") },
  {
    name: "CVE-2026-3288",
    what: "a quote in the target of a rewrite",
    annotations: { "rewrite-target": `/$1" break; } ${server} #`, "use-regex": "true" },
    paths: path("/a/(.*)"),
  },
  {
    name: "CVE-2026-4342",
    what: "values that meet in a comment",
    annotations: {
      "server-alias": `a.test\n${server}`,
      "default-backend": `web\n${mark}`,
      "custom-http-errors": `404\n${mark}`,
    },
    more: { tls: [{ hosts: [`a.test\n# ${mark}`], secretName: `faulty\n${server}` }] },
  },
];
