import { createServer } from "node:http";
import { isIPv6, type AddressInfo } from "node:net";
import { type Client, unless } from "../../client/index.ts";
import { isStatus, type ObjectName, resources } from "../../kube/index.ts";
import { gatewayResources, type HTTPRoute } from "../../routing/index.ts";
import type { Clock } from "../../system/index.ts";
import { type Asker, isGateway } from "./asks.ts";
import {
  challengeLabel,
  challengeName,
  challengePath,
  type ChallengeRoute,
  challengeRoutes,
} from "./challenge-routes.ts";
import type { Challenge } from "./issue.ts";
import { AcmeError } from "./protocol.ts";
import type { WantedCertificate } from "./wanted.ts";

/** Milliseconds until a route must be served here, and until other processes have it too. */
const patience = 30_000;
const settling = 500;

export interface ChallengeOptions {
  readonly client: Client;
  /** Where data planes reach this process. */
  readonly address: () => string;
  /** True when a request to what serves the asker is led by the route of that name. */
  readonly isServed: (asker: Asker, host: string, path: string, route: string) => boolean;
  /** There is a Gateway API to make routes in. */
  readonly gateways: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Answers challenges: a small server here, and routes that lead every data plane to it. */
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
    const answer = answers.get((request.url ?? "").replace(challengePath, ""));
    response.writeHead(answer === undefined ? 404 : 200, { "content-type": "application/octet-stream" });
    response.end(answer ?? "");
  });
  server.headersTimeout = 10_000;
  server.requestTimeout = 10_000;
  server.maxConnections = 256;
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, options.address(), resolve));
  const { port } = server.address() as AddressInfo;

  const drop = (kind: ChallengeRoute["kind"], at: ObjectName) =>
    unless(
      kind === "Ingress" ? client.delete(resources.Ingress, at) : client.delete(gatewayResources.HTTPRoute, at),
      "NotFound",
    );

  async function removeService(namespace: string, name: string): Promise<void> {
    await unless(client.delete(resources.Service, { namespace, name }), "NotFound");
    await unless(client.delete(resources.EndpointSlice, { namespace, name }), "NotFound");
  }

  async function remove({ namespace }: WantedCertificate, service: string, routes: readonly ChallengeRoute[]) {
    for (const { kind, name } of routes) await drop(kind, { namespace, name });
    await removeService(namespace, service);
  }

  async function createService(namespace: string, name: string): Promise<void> {
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
  }

  async function untilServed({ asker, challenges, name }: ChallengeRoute, end: number): Promise<void> {
    for (const { host, token } of challenges)
      while (!options.isServed(asker, host, challengePath + token, name)) {
        if (clock.now() >= end) {
          const why = isGateway(asker)
            ? `Gateway ${asker.metadata.name} needs a listener for HTTP on port 80 that takes the host, and routes of its namespace`
            : "another Ingress has it, or the class serves nothing";
          throw new AcmeError("timeout", `${host}${challengePath} is not led to the answer: ${why}`);
        }
        await clock.sleep(50, signal);
      }
  }

  return {
    async present(wanted, challenges) {
      const { namespace } = wanted;
      const service = challengeName(wanted);
      const routes = challengeRoutes(wanted, challenges);
      for (const { token, answer } of challenges) answers.set(token, answer);
      const takeAway = async (): Promise<void> => {
        for (const { token } of challenges) answers.delete(token);
        await remove(wanted, service, routes);
      };
      try {
        await remove(wanted, service, routes);
        await createService(namespace, service);
        for (const route of routes)
          if (route.kind === "Ingress") await client.create(resources.Ingress, route.draft, { signal });
          else await client.create(gatewayResources.HTTPRoute, route.draft, { signal });
        const end = clock.now() + patience;
        for (const route of routes) await untilServed(route, end);
        await clock.sleep(settling, signal);
        return takeAway;
      } catch (error) {
        await takeAway();
        throw error;
      }
    },
    async sweep() {
      const labelSelector = `${challengeLabel}=true`;
      const left = [
        ...(await client.list(resources.Ingress, { labelSelector })).items,
        ...(options.gateways
          ? (await client.list(gatewayResources.HTTPRoute, { labelSelector }).catch(notInstalled)).items
          : []),
      ];
      for (const { kind, metadata } of left) {
        const namespace = metadata.namespace ?? "";
        await drop(kind === "Ingress" ? "Ingress" : "HTTPRoute", { namespace, name: metadata.name });
      }
      const services = await client.list(resources.Service, { labelSelector });
      for (const { metadata } of services.items) await removeService(metadata.namespace ?? "", metadata.name);
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function notInstalled(error: unknown): { readonly items: readonly HTTPRoute[] } {
  if (isStatus(error, "NotFound")) return { items: [] };
  throw error;
}
