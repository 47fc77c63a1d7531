import { selfSigned } from "../../src/dataplane/self-signed.ts";

/** A fault that is put into a cluster, and the check that has to name it first. */
export interface Fault {
  readonly name: string;
  readonly objects: readonly object[];
  /** Code of the first finding about the object. */
  readonly check: string;
  /** `Service NAMESPACE/NAME`: the namespace is the fault's name. */
  readonly object: string;
  /** What the finding has to say somewhere in problem, evidence or remedy. */
  readonly says: RegExp;
}

const deployment = (
  name: string,
  change: { labels?: object; image?: string; probe?: object; command?: string[] } = {},
) => {
  const labels = change.labels ?? { app: name };
  const container = {
    name: "echo",
    image: change.image ?? "fairlead.dev/echo",
    ports: [{ name: "http", containerPort: 8080 }],
    ...(change.probe ? { readinessProbe: { ...change.probe, periodSeconds: 1 } } : {}),
  };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [container] } },
    },
  };
};
const service = (name: string, spec: object = {}, metadata: object = {}) => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, ...metadata },
  spec: { selector: { app: "web" }, ports: [{ name: "http", port: 80, targetPort: "http" }], ...spec },
});
const ingress = (spec: object) => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "Ingress",
  metadata: { name: "site" },
  spec: { ingressClassName: "fairlead", ...spec },
});
const rule = (host: string, name: string, port: object = { number: 80 }) => ({
  rules: [{ host, http: { paths: [{ path: "/", pathType: "Prefix", backend: { service: { name, port } } }] } }],
});
const secret = (name: string, names: readonly string[], now = Date.now()) => {
  const { certificate, key } = selfSigned(now, names);
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name },
    type: "kubernetes.io/tls",
    stringData: { "tls.crt": certificate, "tls.key": key },
  };
};
const web = deployment("web");

export const faults: readonly Fault[] = [
  {
    name: "wrong-label",
    objects: [web, service("web", { selector: { app: "wep" } })],
    check: "selector-matches-nothing",
    object: "Service wrong-label/web",
    says: /app is "web", not "wep"/,
  },
  {
    name: "other-namespace",
    objects: [service("api", { selector: { app: "alone" } })],
    check: "selector-matches-nothing",
    object: "Service other-namespace/api",
    says: /no pod in namespace/,
  },
  {
    name: "port-name",
    objects: [web, service("web", { ports: [{ port: 80, targetPort: "htpp" }] })],
    check: "target-port-name-missing",
    object: "Service port-name/web",
    says: /did you mean http/,
  },
  {
    name: "port-protocol",
    objects: [web, service("web", { ports: [{ port: 80, targetPort: "http", protocol: "UDP" }] })],
    check: "target-port-name-missing",
    object: "Service port-protocol/web",
    says: /port http is TCP/,
  },
  {
    name: "port-number",
    objects: [web, service("web", { ports: [{ port: 80, targetPort: 3000 }] })],
    check: "target-port-not-declared",
    object: "Service port-number/web",
    says: /3000\/TCP.*8080/s,
  },
  {
    name: "failing-probe",
    objects: [deployment("web", { probe: { httpGet: { path: "/", port: 9 } } }), service("web")],
    check: "pods-not-ready",
    object: "Service failing-probe/web",
    says: /probe/i,
  },
  {
    name: "no-image",
    objects: [deployment("web", { image: "example.com/none:1" }), service("web")],
    check: "pods-not-ready",
    object: "Service no-image/web",
    says: /image/i,
  },
  {
    name: "no-node",
    objects: [
      {
        ...web,
        spec: {
          ...web.spec,
          template: { ...web.spec.template, spec: { ...web.spec.template.spec, nodeSelector: { disk: "none" } } },
        },
      },
      service("web"),
    ],
    check: "pods-not-ready",
    object: "Service no-node/web",
    says: /not scheduled/,
  },
  {
    name: "no-selector",
    objects: [{ ...service("web"), spec: { ports: [{ port: 80 }] } }],
    check: "no-selector-no-endpoints",
    object: "Service no-selector/web",
    says: /write an EndpointSlice/,
  },
  {
    name: "local-internal",
    objects: [
      {
        ...service("web", { internalTrafficPolicy: "Local" }),
        spec: { internalTrafficPolicy: "Local", ports: [{ port: 80 }] },
      },
      {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { name: "web-1", labels: { "kubernetes.io/service-name": "web" } },
        addressType: "IPv4",
        ports: [{ name: "", port: 8080, protocol: "TCP" }],
        endpoints: [{ addresses: ["198.51.100.99"], nodeName: "node-9", conditions: { ready: true } }],
      },
    ],
    check: "local-policy-without-endpoints",
    object: "Service local-internal/web",
    says: /node-1 are dropped/,
  },
  {
    name: "headless",
    objects: [web, service("web", { clusterIP: "None" })],
    check: "headless-port-not-translated",
    object: "Service headless/web",
    says: /listen on 8080/,
  },
  {
    name: "external-address",
    objects: [
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "db" },
        spec: { type: "ExternalName", externalName: "192.0.2.9" },
      },
    ],
    check: "external-name-is-address",
    object: "Service external-address/db",
    says: /EndpointSlice/,
  },
  {
    name: "foreign-proxy",
    objects: [web, service("web", {}, { labels: { "service.kubernetes.io/service-proxy-name": "other" } })],
    check: "left-to-another-proxy",
    object: "Service foreign-proxy/web",
    says: /remove the label/,
  },
  {
    name: "wrong-class",
    objects: [web, service("web", { type: "LoadBalancer", loadBalancerClass: "acme.io/lb" })],
    check: "load-balancer-pending",
    object: "Service wrong-class/web",
    says: /acme\.io\/lb/,
  },
  {
    name: "outside-pool",
    objects: [
      web,
      service("web", { type: "LoadBalancer" }, { annotations: { "fairlead.dev/address": "203.0.113.77" } }),
    ],
    check: "load-balancer-pending",
    object: "Service outside-pool/web",
    says: /203\.0\.113\.77/,
  },
  {
    name: "bad-address",
    objects: [web, service("web", { type: "LoadBalancer" }, { annotations: { "fairlead.dev/address": "nonsense" } })],
    check: "load-balancer-pending",
    object: "Service bad-address/web",
    says: /nonsense/,
  },
  {
    name: "ranges",
    objects: [
      web,
      { ...service("web", { type: "NodePort", externalIPs: ["203.0.113.5"] }) },
      service("twin", { externalIPs: ["203.0.113.5"] }),
    ],
    check: "frontend-taken",
    object: "Service ranges/twin|Service ranges/web",
    says: /203\.0\.113\.5/,
  },
  {
    name: "overlap",
    objects: [
      deployment("one", { labels: { app: "web", part: "one" } }),
      deployment("two", { labels: { app: "web", part: "two" } }),
      service("web"),
    ],
    check: "selector-overlaps",
    object: "Service overlap/web",
    says: /Deployment one.*Deployment two/s,
  },
  {
    name: "no-class",
    objects: [ingress({ ...rule("no-class.example", "web"), ingressClassName: "fairlaed" })],
    check: "ingress-class",
    object: "Ingress no-class/site",
    says: /did you mean fairlead/,
  },
  {
    name: "no-service",
    objects: [web, service("web"), ingress(rule("no-service.example", "wep"))],
    check: "ingress-backend",
    object: "Ingress no-service/site",
    says: /did you mean web/,
  },
  {
    name: "no-port",
    objects: [web, service("web"), ingress(rule("no-port.example", "web", { number: 8080 }))],
    check: "ingress-backend",
    object: "Ingress no-port/site",
    says: /http \(80\)/,
  },
  {
    name: "no-secret",
    objects: [
      web,
      service("web"),
      ingress({ ...rule("no-secret.example", "web"), tls: [{ hosts: ["no-secret.example"], secretName: "absent" }] }),
    ],
    check: "ingress-secret",
    object: "Ingress no-secret/site",
    says: /create secret tls absent/,
  },
  {
    name: "wrong-host",
    objects: [
      web,
      service("web"),
      secret("tls", ["other.example"]),
      ingress({ ...rule("wrong-host.example", "web"), tls: [{ hosts: ["wrong-host.example"], secretName: "tls" }] }),
    ],
    check: "ingress-certificate",
    object: "Ingress wrong-host/site",
    says: /not for wrong-host\.example/,
  },
  {
    name: "expired",
    objects: [
      web,
      service("web"),
      secret("tls", ["expired.example"], Date.now() - 20 * 365 * 86_400_000),
      ingress({ ...rule("expired.example", "web"), tls: [{ hosts: ["expired.example"], secretName: "tls" }] }),
    ],
    check: "ingress-certificate",
    object: "Ingress expired/site",
    says: /has expired/,
  },
  {
    name: "shadowed",
    objects: [
      web,
      service("web"),
      service("zweb"),
      ingress(rule("shadowed.example", "web")),
      { ...ingress(rule("shadowed.example", "zweb")), metadata: { name: "zsite" } },
    ],
    check: "route-problem",
    object: "Ingress shadowed/zsite",
    says: /Ingress shadowed\/site/,
  },
];
