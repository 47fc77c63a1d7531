import { expect } from "vitest";
import type { DataPlane } from "../../src/dataplane/index.ts";
import type { IngressSpec } from "../../src/kube/index.ts";
import { resources } from "../../src/kube/index.ts";
import { type Reply, send, type SendOptions } from "../dataplane/clients.ts";
import type { TestCluster } from "../dataplane/cluster.ts";
import type { Fixture } from "../dataplane/suite.ts";

export type Feature = DataPlane["capabilities"] extends ReadonlySet<infer T> ? T : never;

/** How a test is told that only a data plane which can do all of these is asked. */
export type Needs = (...features: readonly Feature[]) => (name: string, run: () => Promise<void>) => void;

export const prefix = "nginx.ingress.kubernetes.io/";

export interface PathSpec {
  readonly path?: string;
  readonly pathType?: string;
  readonly service?: string;
}

/** A cluster with ingress-nginx's class, and what a test puts into it. */
export interface NginxLab {
  readonly cluster: TestCluster;
  /** An Ingress with annotations, without their prefix. Served when it settles. */
  readonly ingress: (
    name: string,
    annotations: Readonly<Record<string, string>>,
    paths?: readonly PathSpec[],
    more?: Partial<IngressSpec> & { readonly host?: string },
  ) => Promise<void>;
  readonly get: (path: string, options?: SendOptions) => Promise<Reply>;
  /** What the backend saw. */
  readonly seen: (path: string, options?: SendOptions) => Promise<Seen>;
}

export interface Seen {
  readonly name: string;
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What became of requests while an annotation was there: let in, or kept out by an error or a redirect. */
export interface Asked {
  /** Titles of the tests that had it. */
  readonly cases: Set<string>;
  letIn: boolean;
  keptOut: boolean;
}

/** By annotation, on the data plane of this file. */
export const asked = new Map<string, Asked>();

function note(annotations: Readonly<Record<string, string>>, status?: number): void {
  const title = expect.getState().currentTestName?.split(" > ").at(-1) ?? "";
  for (const name of Object.keys(annotations)) {
    const known = asked.get(name) ?? { cases: new Set(), letIn: false, keptOut: false };
    asked.set(name, known);
    known.cases.add(title);
    if (status !== undefined && status < 300) known.letIn = true;
    if (status !== undefined && status >= 300) known.keptOut = true;
  }
}

/** Keys of ingress-nginx's ConfigMap that tests of this file have had. */
export const askedOptions = new Set<string>();

/** Opens a cluster with the echo backends `services`. */
export async function lab(
  made: Fixture,
  services: readonly string[] = ["web"],
  options: Parameters<Fixture["cluster"]>[0] = {},
): Promise<NginxLab> {
  // What a data plane is started with is the same for most tests; functions make it another one.
  const lasting = Object.values(options).every((each) => typeof each !== "function");
  const cluster = await (lasting ? made.lastingCluster(options) : made.cluster(options));
  cluster.client.put(resources.IngressClass, {
    metadata: { name: "nginx" },
    spec: { controller: "k8s.io/ingress-nginx" },
  });
  for (const name of services) cluster.service(name, [await made.backend(name)]);
  for (const name of Object.keys(options.nginxOptions ?? {})) askedOptions.add(name);
  /** Annotations that are there, by host and Ingress. */
  const there = new Map<string, { readonly host: string; readonly annotations: Readonly<Record<string, string>> }>();
  async function ask(path: string, sendOptions: SendOptions = {}): Promise<Reply> {
    const reply = await send(cluster, path, sendOptions);
    for (const { host, annotations } of there.values())
      if (host === (sendOptions.host ?? "shop.test")) note(annotations, reply.status);
    return reply;
  }
  const own: NginxLab = {
    cluster,
    async ingress(name, annotations, paths = [{}], { host = "shop.test", ...spec } = {}) {
      there.set(name, { host, annotations });
      note(annotations);
      cluster.addIngress(
        name,
        {
          ingressClassName: "nginx",
          rules: [
            {
              ...(host === "" ? {} : { host }),
              http: {
                paths: paths.map(({ path = "/", pathType = "Prefix", service = "web" }) => ({
                  path,
                  pathType,
                  backend: { service: { name: service, port: { number: 80 } } },
                })),
              },
            },
          ],
          ...spec,
        },
        Object.fromEntries(Object.entries(annotations).map(([key, value]) => [prefix + key, value])),
      );
      await cluster.served();
    },
    get: ask,
    async seen(path, sendOptions) {
      const reply = await ask(path, sendOptions);
      expect([path, reply.status, reply.body]).toEqual([path, 200, expect.any(String)]);
      return JSON.parse(reply.body) as Seen;
    },
  };
  return own;
}
