import { createProvider as classic } from "../aws/classic.ts";
import { createProvider as aws } from "../aws/index.ts";
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
  targets: [{ node: "a", addresses: ["10.0.0.1"] }],
  sourceRanges: [],
  sessionAffinity: "None",
  annotations: {},
};
const ingress = {
  ...service,
  http: { rules: [{ host: "", path: "/", match: "Prefix", backend }], certificates: [] },
} as const;

export interface Subject {
  readonly name: string;
  readonly desired: Exposure;
  readonly create: (url: string, more?: object) => LoadBalancerProvider;
  /** What a login, or the first look, is answered; none: there is none. */
  readonly login: (url: string) => ReadonlyMap<string, LoginAnswer>;
}
/** A body of JSON. */
export interface LoginAnswer {
  readonly value: unknown;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}
const json = (value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): LoginAnswer => ({
  value,
  status,
  headers,
});
const timeoutMs = 250;
export const everyProvider: readonly Subject[] = [
  {
    name: "openstack",
    desired: service,
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
  },
  {
    name: "f5",
    desired: service,
    create: (url, more = {}) =>
      f5({ url, username: "u", password: secret, addresses: ["192.0.2.1-192.0.2.9"], timeoutMs, ...more }),
    login: () => new Map([["/mgmt/shared/authn/login", json({ token: { token: secret } })]]),
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
  },
  {
    name: "rancher",
    desired: ingress,
    create: (url, more = {}) =>
      rancher({ url, version: "v2-beta", accessKey: "a", secretKey: secret, timeoutMs, ...more }),
    login(url) {
      const kinds = ["stacks", "loadBalancerServices", "certificates", "kubernetesServices"];
      const data = kinds.map((pluralName) => ({ pluralName, links: { collection: `${url}/v2-beta/${pluralName}` } }));
      return new Map([
        ["/v2-beta", json({}, 200, { "x-api-schemas": `${url}/v2-beta/schemas` })],
        ["/v2-beta/schemas", json({ data })],
      ]);
    },
  },
  ...[
    { name: "aws", create: aws },
    { name: "aws-classic", create: classic },
  ].map(({ name, create }): Subject => ({
    name,
    desired: service,
    create: (endpoint, more = {}) =>
      create({
        endpoint,
        region: "r",
        accessKeyId: "a",
        secretAccessKey: secret,
        vpc: "v",
        subnets: ["subnet-1"],
        timeoutMs,
        ...more,
      }),
    login: () => new Map(),
  })),
  {
    name: "azure",
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
        clientSecret: secret,
        authority: url,
        endpoint: url,
        timeoutMs,
        ...more,
      }),
    login: () => new Map([["/t/oauth2/v2.0/token", json({ access_token: secret, expires_in: 3_600 })]]),
  },
  ...[
    { name: "gce", desired: service },
    { name: "gce for an Ingress", desired: ingress },
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
  })),
];
