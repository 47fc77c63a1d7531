import { createProvider as createClassic } from "../aws/classic.ts";
import { createProvider as createAws } from "../aws/index.ts";
import { createProvider as azure } from "../azure/index.ts";
import { createProvider as f5 } from "../f5/index.ts";
import { createProvider as gce } from "../gce/index.ts";
import { createProvider as openstack } from "../openstack/index.ts";
import { createProvider as rancher } from "../rancher/index.ts";
import type { Exposure, LoadBalancerProvider } from "./contract.ts";

// Every provider of ours with its other side at one URL, for tests that are the same for all.

/** Password, key and token of all of them. */
export const secret = "correct-horse-battery-staple";

const backend = {
  namespace: "ns",
  service: "web",
  uid: "s",
  port: 80,
  targetPort: 80,
  nodePort: 30_080,
  endpoints: [],
};
export const service: Exposure = {
  key: { cluster: "lab", namespace: "ns", name: "web", uid: "u1" },
  families: ["IPv4"],
  ports: [{ name: "", protocol: "TCP", port: 80, nodePort: 30_080 }],
  targets: [{ node: "a", addresses: ["10.0.0.1"], providerId: "aws:///eu-1a/i-0123456789abcdef0" }],
  sourceRanges: [],
  sessionAffinity: "None",
  annotations: {},
};
const ingress = {
  ...service,
  http: { rules: [{ host: "", path: "/", match: "Prefix", backend }], certificates: [] },
} as const;
/** A key that no message may repeat, as PEM would have it. */
export const privateKey = `-----BEGIN PRIVATE KEY-----\n${"correcthorsebattery".repeat(3)}\n${"staplecorrect".repeat(4)}\n-----END PRIVATE KEY-----\n`;
const pair = { certificate: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key: privateKey };
const withTls: Exposure = {
  ...ingress,
  ports: [
    { name: "", protocol: "TCP", port: 80 },
    { name: "", protocol: "TCP", port: 443 },
  ],
  http: { ...ingress.http, certificates: [{ name: "tls", hosts: [], pair }] },
};

export interface Subject {
  readonly name: string;
  readonly desired: Exposure;
  readonly create: (url: string, more?: object) => LoadBalancerProvider;
  /** What a login, or the first look, is answered, by path or, with AWS, action; none: there is none. */
  readonly login: (url: string) => ReadonlyMap<string, Said>;
  /** What every other look is answered where nothing exists yet. Undefined: it is no look, but writes. */
  readonly nothing: (asked: Asked) => Said | undefined;
}
export interface Asked {
  readonly method: string;
  readonly path: string;
  /** Of AWS. */
  readonly action?: string;
}
/** An answer. */
export interface Said {
  readonly body: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}
const json = (value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Said => ({
  body: JSON.stringify(value),
  status,
  headers,
});
const xml = (action: string, result = ""): Said => ({
  body: `<${action}Response><${action}Result>${result}</${action}Result></${action}Response>`,
  status: 200,
  headers: {},
});
const timeoutMs = 250;

const openstackLooks = ({ method, path }: Asked): Said | undefined => {
  if (method !== "GET") return undefined;
  return json(path === "/" ? { versions: [{ id: "v2.26" }] } : { [path.split("/").at(-1) ?? ""]: [] });
};
const rancherLooks = ({ method, path }: Asked): Said | undefined => {
  if (method !== "GET") return undefined;
  const data = path.endsWith("/settings") ? [{ id: "1", name: "lb.instance.image", value: "rancher/lb" }] : [];
  return json({ data });
};
const rancherKinds = [
  "stacks",
  "environments",
  "loadBalancerServices",
  "certificates",
  "kubernetesServices",
  "settings",
];
const awsLooks = ({ action = "" }: Asked): Said | undefined =>
  action.startsWith("Describe") ? xml(action) : undefined;
const azureLooks = ({ method, path }: Asked): Said | undefined => {
  if (method !== "GET") return undefined;
  if (/\/(publicIPAddresses|loadBalancers)$/.test(path)) return json({ value: [] });
  if (path.includes("networkSecurityGroups")) return json({ properties: { securityRules: [] } });
  return json({ error: { code: "ResourceNotFound", message: "no" } }, 404);
};
const gceLooks = ({ method, path }: Asked): Said | undefined => {
  if (method !== "GET" && !path.endsWith("/listNetworkEndpoints")) return undefined;
  return /\/(aggregated\/\w+|addresses|firewalls|instances|backendServices|sslCertificates|urlMaps)$/.test(path)
    ? json({})
    : json({ error: { code: 404, message: "no" } }, 404);
};

/** What AWS's STS answers to who takes a role. */
export const assumed = (action: string): Said =>
  xml(
    action,
    `<Credentials><AccessKeyId>a</AccessKeyId><SecretAccessKey>${secret}</SecretAccessKey><SessionToken>${secret}</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials>`,
  );

/** A provider of AWS's; `create` is given the whole configuration. */
export const awsSubject = (
  name: string,
  create: (config: object) => LoadBalancerProvider,
  desired: Exposure,
  more: object = {},
): Subject => ({
  name,
  desired,
  create: (endpoint, further = {}) =>
    create({
      endpoint,
      region: "r",
      accessKeyId: "a",
      secretAccessKey: secret,
      vpc: "v",
      subnets: ["subnet-1"],
      timeoutMs,
      ...more,
      ...further,
    }),
  login: () => new Map(),
  nothing: awsLooks,
});

/** The provider of Azure with some credentials. */
export const azureSubject = (name: string, credentials: object): Subject => ({
  name,
  desired: service,
  create: (url, more = {}) =>
    azure({
      subscription: "s",
      resourceGroup: "g",
      location: "l",
      virtualNetwork: "n",
      securityGroup: "n",
      tenant: "t",
      clientId: "c",
      authority: url,
      endpoint: url,
      timeoutMs,
      ...credentials,
      ...more,
    }),
  login: () => new Map([["/t/oauth2/v2.0/token", json({ access_token: secret, expires_in: 3_600 })]]),
  nothing: azureLooks,
});

export const everyProvider: readonly Subject[] = [
  ...[
    { name: "openstack", desired: service },
    { name: "openstack for an Ingress", desired: ingress },
  ].map(({ name, desired }): Subject => ({
    name,
    desired,
    create: (url, more = {}) =>
      openstack({
        authUrl: `${url}/v3`,
        username: "u",
        password: secret,
        project: "p",
        region: "R",
        subnet: "s",
        endpoint: url,
        timeoutMs,
        ...more,
      }),
    login: () => {
      const token = { expires_at: "2999-01-01T00:00:00Z", project: { id: "p" }, catalog: [] };
      return new Map([["/v3/auth/tokens", json({ token }, 201, { "x-subject-token": secret })]]);
    },
    nothing: openstackLooks,
  })),
  {
    name: "f5",
    desired: service,
    create: (url, more = {}) =>
      f5({ url, username: "u", password: secret, addresses: ["192.0.2.1-192.0.2.9"], timeoutMs, ...more }),
    login: () => new Map([["/mgmt/shared/authn/login", json({ token: { token: secret } })]]),
    nothing({ method, path }) {
      if (method !== "GET") return undefined;
      return path.endsWith("/info") ? json({ version: "3.52.0" }) : path.endsWith("/task") ? json({}) : json({}, 404);
    },
  },
  {
    name: "f5 by iControl",
    desired: service,
    create: (url, more = {}) =>
      f5({
        url,
        api: "icontrol",
        username: "u",
        password: secret,
        addresses: ["192.0.2.1-192.0.2.9"],
        timeoutMs,
        ...more,
      }),
    login: () => new Map([["/mgmt/shared/authn/login", json({ token: { token: secret } })]]),
    nothing: ({ method, path }) =>
      method !== "GET" ? undefined : path.includes("/partition/") ? json({}, 404) : json({ items: [] }),
  },
  ...(["v2-beta", "v1"] as const).map((version): Subject => ({
    name: `rancher ${version}`,
    desired: withTls,
    create: (url, more = {}) => rancher({ url, version, accessKey: "a", secretKey: secret, timeoutMs, ...more }),
    login(url) {
      const data = rancherKinds.map((pluralName) => ({
        pluralName,
        links: { collection: `${url}/${version}/${pluralName}` },
      }));
      return new Map([
        [`/${version}`, json({}, 200, { "x-api-schemas": `${url}/${version}/schemas` })],
        [`/${version}/schemas`, json({ data })],
      ]);
    },
    nothing: rancherLooks,
  })),
  awsSubject("aws", createAws, service),
  awsSubject("aws for an Ingress", createAws, ingress),
  awsSubject("aws-classic", createClassic, service),
  {
    ...awsSubject("aws with a role", createAws, service, { roleArn: "arn:aws:iam::1:role/r" }),
    login: () => new Map([["AssumeRole", assumed("AssumeRole")]]),
  },
  azureSubject("azure", { clientSecret: secret }),
  ...[
    { name: "gce", desired: service },
    { name: "gce for an Ingress", desired: withTls },
  ].map(({ name, desired }): Subject => ({
    name,
    desired,
    create: (url, more = {}) =>
      gce({
        project: "p",
        region: "r",
        zone: "z",
        metadataUrl: url,
        endpoint: `${url}/compute/v1`,
        proxyRanges: ["10.9.0.0/24"],
        timeoutMs,
        ...more,
      }),
    login: () =>
      new Map([
        [
          "/computeMetadata/v1/instance/service-accounts/default/token",
          json({ access_token: secret, expires_in: 3_600 }),
        ],
      ]),
    nothing: gceLooks,
  })),
];
