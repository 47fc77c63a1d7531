import { isIPv6 } from "node:net";
import { type Client, unless } from "../../client/index.ts";
import { isStatus, type KubeObject, type ObjectName, resources } from "../../kube/index.ts";
import { type AnyRoute, gatewayResources } from "../../routing/index.ts";
import type { Clock } from "../../system/index.ts";
import { challengePath, startAnswers } from "./answers.ts";
import { type Asker, isIngress } from "./asks.ts";
import {
  challengeLabel,
  challengeName,
  challengePorts,
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
  /** True when whoever asks what serves the asker for this proof is led by the route of that name. */
  readonly isServed: (asker: Asker, challenge: Challenge, route: string) => boolean;
  /** There is a Gateway API to make routes in. */
  readonly gateways: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Answers challenges: small servers here, and routes that lead every data plane to them. */
export interface Challenges {
  present(wanted: WantedCertificate, challenges: readonly Challenge[]): Promise<() => Promise<void>>;
  /** Removes what a process before this one left behind. */
  sweep(): Promise<void>;
  close(): void;
}

export async function startChallenges(options: ChallengeOptions): Promise<Challenges> {
  const { client, clock, signal } = options;
  const answers = await startAnswers(options.address(), clock);

  const kinds = {
    Ingress: resources.Ingress,
    HTTPRoute: gatewayResources.HTTPRoute,
    TLSRoute: gatewayResources.TLSRoute,
  } as const;

  async function drop(kind: ChallengeRoute["kind"], at: ObjectName): Promise<void> {
    if (kind === "Ingress") await unless(client.delete(kinds.Ingress, at), "NotFound");
    else await unless(client.delete(kinds[kind], at), "NotFound");
  }

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
    const ports = [
      { name: "http", port: challengePorts["http-01"], protocol: "TCP" as const, targetPort: answers.ports.http },
      { name: "tls", port: challengePorts["tls-alpn-01"], protocol: "TCP" as const, targetPort: answers.ports.tls },
    ];
    await client.create(resources.Service, { metadata, spec: { ports } }, { signal });
    const slice = {
      metadata: { ...metadata, labels: { ...metadata.labels, "kubernetes.io/service-name": name } },
      addressType: isIPv6(address) ? ("IPv6" as const) : ("IPv4" as const),
      endpoints: [{ addresses: [address], conditions: { ready: true } }],
      ports: ports.map(({ targetPort, ...port }) => ({ ...port, port: targetPort })),
    };
    await client.create(resources.EndpointSlice, slice, { signal });
  }

  async function untilServed({ asker, challenges, name }: ChallengeRoute, end: number): Promise<void> {
    for (const challenge of challenges)
      while (!options.isServed(asker, challenge, name)) {
        if (clock.now() >= end) throw new AcmeError("timeout", notLed(asker, challenge));
        await clock.sleep(50, signal);
      }
  }

  return {
    async present(wanted, challenges) {
      const { namespace } = wanted;
      const service = challengeName(wanted);
      const routes = challengeRoutes(wanted, challenges);
      const takeAway = async (): Promise<void> => {
        answers.remove(challenges);
        await remove(wanted, service, routes);
      };
      try {
        await answers.add(challenges);
        await remove(wanted, service, routes);
        await createService(namespace, service);
        for (const route of routes)
          if (route.kind === "Ingress") await client.create(kinds.Ingress, route.draft, { signal });
          else if (route.kind === "HTTPRoute") await client.create(kinds.HTTPRoute, route.draft, { signal });
          else await client.create(kinds.TLSRoute, route.draft, { signal });
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
      for (const kind of ["Ingress", ...(options.gateways ? (["HTTPRoute", "TLSRoute"] as const) : [])] as const)
        for (const { metadata } of await labelled(kind, labelSelector))
          await drop(kind, { namespace: metadata.namespace ?? "", name: metadata.name });
      const services = await client.list(resources.Service, { labelSelector });
      for (const { metadata } of services.items) await removeService(metadata.namespace ?? "", metadata.name);
    },
    close: () => answers.close(),
  };

  async function labelled(kind: ChallengeRoute["kind"], labelSelector: string): Promise<readonly KubeObject[]> {
    if (kind === "Ingress") return (await client.list(kinds.Ingress, { labelSelector })).items;
    return (await client.list<AnyRoute>(kinds[kind], { labelSelector }).catch(notInstalled)).items;
  }
}

function notLed(asker: Asker, { type, host }: Challenge): string {
  const { name } = asker.metadata;
  if (type === "tls-alpn-01") {
    const why = isIngress(asker)
      ? "another Ingress has it, or the class serves nothing"
      : `${asker.kind} ${name} needs a listener on port 443 that ends TLS for the host`;
    return `proofs of ${host} are not led to the answer: ${why}`;
  }
  const why = isIngress(asker)
    ? "another Ingress has it, or the class serves nothing"
    : `${asker.kind} ${name} needs a listener for HTTP on port 80 that takes the host, and routes of its namespace`;
  return `${host}${challengePath} is not led to the answer: ${why}`;
}

function notInstalled(error: unknown): { readonly items: readonly AnyRoute[] } {
  if (isStatus(error, "NotFound")) return { items: [] };
  throw error;
}
