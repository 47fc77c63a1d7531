import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { isIPv6, type AddressInfo } from "node:net";
import { type Client, unless } from "../../client/index.ts";
import { type Draft, type Ingress, resources } from "../../kube/index.ts";
import type { Clock } from "../../system/index.ts";
import { AcmeError } from "./protocol.ts";
import type { Challenge } from "./issue.ts";
import type { WantedCertificate } from "./wanted.ts";

/** On what is made for a challenge. */
export const challengeLabel = "fairlead.dev/acme-challenge";
const path = "/.well-known/acme-challenge/";
/** Milliseconds until a route must be served here, and until other processes have it too. */
const patience = 30_000;
const settling = 500;

export interface ChallengeOptions {
  readonly client: Client;
  /** Where data planes reach this process. */
  readonly address: () => string;
  /** True when a request is led to the Ingress of that name. */
  readonly isServed: (host: string, path: string, ingress: string) => boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Answers challenges: a small server here, and Ingresses that lead every data plane to it. */
export interface Challenges {
  present(wanted: WantedCertificate, challenges: readonly Challenge[]): Promise<() => Promise<void>>;
  /** Removes what a process before this one left behind. */
  sweep(): Promise<void>;
  close(): void;
}

export async function startChallenges(options: ChallengeOptions): Promise<Challenges> {
  const { client, clock, signal } = options;
  const answers = new Map<string, string>();
  const server = createServer((request, response) => {
    const answer = answers.get((request.url ?? "").replace(path, ""));
    response.writeHead(answer === undefined ? 404 : 200, { "content-type": "application/octet-stream" });
    response.end(answer ?? "");
  });
  server.headersTimeout = 10_000;
  server.requestTimeout = 10_000;
  server.maxConnections = 256;
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, options.address(), resolve));
  const { port } = server.address() as AddressInfo;

  async function remove(namespace: string, name: string): Promise<void> {
    const at = { namespace, name };
    await unless(client.delete(resources.Ingress, at), "NotFound");
    await unless(client.delete(resources.Service, at), "NotFound");
    await unless(client.delete(resources.EndpointSlice, at), "NotFound");
  }

  async function create(wanted: WantedCertificate, name: string, challenges: readonly Challenge[]): Promise<void> {
    const { namespace } = wanted;
    const [ingress] = wanted.ingresses;
    const metadata = { namespace, name, labels: { [challengeLabel]: "true" } };
    const address = options.address();
    const ports = [{ name: "http", port: 80, protocol: "TCP" as const, targetPort: port }];
    await client.create(resources.Service, { metadata, spec: { ports } }, { signal });
    const slice = {
      metadata: { ...metadata, labels: { ...metadata.labels, "kubernetes.io/service-name": name } },
      addressType: isIPv6(address) ? ("IPv6" as const) : ("IPv4" as const),
      endpoints: [{ addresses: [address], conditions: { ready: true } }],
      ports: [{ name: "http", port, protocol: "TCP" as const }],
    };
    await client.create(resources.EndpointSlice, slice, { signal });
    await client.create(resources.Ingress, challengeIngress(ingress, metadata, challenges), { signal });
  }

  return {
    async present(wanted, challenges) {
      const { namespace } = wanted;
      const hash = createHash("sha256").update(wanted.name).digest("hex").slice(0, 8);
      const name = `acme-${hash}`;
      for (const { token, answer } of challenges) answers.set(token, answer);
      const takeAway = async (): Promise<void> => {
        for (const { token } of challenges) answers.delete(token);
        await remove(namespace, name);
      };
      try {
        await remove(namespace, name);
        await create(wanted, name, challenges);
        const end = clock.now() + patience;
        for (const { host, token } of challenges)
          while (!options.isServed(host, path + token, name)) {
            if (clock.now() >= end)
              throw new AcmeError(
                "timeout",
                `${host}${path} is not led to the answer: another Ingress has it, or the class serves nothing`,
              );
            await clock.sleep(50, signal);
          }
        await clock.sleep(settling, signal);
        return takeAway;
      } catch (error) {
        await takeAway();
        throw error;
      }
    },
    async sweep() {
      const { items } = await client.list(resources.Ingress, { labelSelector: `${challengeLabel}=true` });
      for (const { metadata } of items) await remove(metadata.namespace ?? "", metadata.name);
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** An Ingress of the same class, with a path for each token. In clear: that is how authorities ask. */
function challengeIngress(
  like: Ingress | undefined,
  metadata: { readonly namespace: string; readonly name: string; readonly labels: Record<string, string> },
  challenges: readonly Challenge[],
): Draft<Ingress> {
  const legacy = like?.metadata.annotations?.["kubernetes.io/ingress.class"];
  const backend = { service: { name: metadata.name, port: { number: 80 } } };
  return {
    metadata: {
      ...metadata,
      annotations: {
        // What a ConfigMap says of all Ingresses must not keep the authority out.
        "nginx.ingress.kubernetes.io/ssl-redirect": "false",
        "nginx.ingress.kubernetes.io/enable-global-auth": "false",
        "nginx.ingress.kubernetes.io/whitelist-source-range": "0.0.0.0/0,::/0",
        ...(legacy === undefined ? {} : { "kubernetes.io/ingress.class": legacy }),
      },
    },
    spec: {
      ...(like?.spec.ingressClassName === undefined ? {} : { ingressClassName: like.spec.ingressClassName }),
      rules: challenges.map(({ host, token }) => ({
        host,
        http: { paths: [{ path: path + token, pathType: "Exact", backend }] },
      })),
    },
  };
}
