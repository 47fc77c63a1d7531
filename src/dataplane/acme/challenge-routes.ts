import { createHash } from "node:crypto";
import { type Draft, type Ingress, keyOf } from "../../kube/index.ts";
import { type Gateway, gatewayGroup, type HTTPRoute } from "../../routing/index.ts";
import { type Asker, isGateway } from "./asks.ts";
import type { Challenge } from "./issue.ts";
import type { WantedCertificate } from "./wanted.ts";

/** On what is made for a challenge. */
export const challengeLabel = "fairlead.dev/acme-challenge";
export const challengePath = "/.well-known/acme-challenge/";
/** An HTTPRoute takes no more host names. */
const mostHostnames = 16;

export type ChallengeRoute = {
  readonly name: string;
  readonly challenges: readonly Challenge[];
  readonly asker: Asker;
} & (
  | { readonly kind: "Ingress"; readonly draft: Draft<Ingress> }
  | { readonly kind: "HTTPRoute"; readonly draft: Draft<HTTPRoute> }
);

/** Name of the Service of a certificate's challenges, and what the names of its routes begin with. */
export const challengeName = ({ name }: WantedCertificate): string => `acme-${hash(name)}`;

const hash = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 8);

/** What leads the paths of the tokens to the Service: through each asker those of its own hosts. */
export function challengeRoutes(wanted: WantedCertificate, challenges: readonly Challenge[]): ChallengeRoute[] {
  const service = challengeName(wanted);
  const metadata = (name: string) => ({ namespace: wanted.namespace, name, labels: { [challengeLabel]: "true" } });
  /** All Ingresses are one table of routes: of two for one path, one is not served. */
  const byIngress = new Set<Challenge>();
  return [...wanted.askers].flatMap(([asker, hosts]): ChallengeRoute[] => {
    const own = challenges.filter((each) => hosts.has(each.host) && (isGateway(asker) || !byIngress.has(each)));
    if (!isGateway(asker)) for (const each of own) byIngress.add(each);
    if (own.length === 0) return [];
    const name = `${service}-${hash(`${asker.kind} ${keyOf(asker)}`)}`;
    if (!isGateway(asker))
      return [
        { kind: "Ingress", name, asker, challenges: own, draft: challengeIngress(asker, metadata(name), service, own) },
      ];
    return chunks(own, mostHostnames).map((some, index) => {
      const part = `${name}-${index}`;
      const draft = challengeRoute(asker, metadata(part), service, some);
      return { kind: "HTTPRoute", name: part, asker, challenges: some, draft };
    });
  });
}

function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
}

interface Metadata {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Record<string, string>;
}

/** An Ingress of the same class, with a path for each token. In clear: that is how authorities ask. */
function challengeIngress(
  like: Ingress,
  metadata: Metadata,
  service: string,
  challenges: readonly Challenge[],
): Draft<Ingress> {
  const legacy = like.metadata.annotations?.["kubernetes.io/ingress.class"];
  const { ingressClassName } = like.spec;
  const backend = { service: { name: service, port: { number: 80 } } };
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
      ...(ingressClassName === undefined ? {} : { ingressClassName }),
      rules: challenges.map(({ host, token }) => ({
        host,
        http: { paths: [{ path: challengePath + token, pathType: "Exact", backend }] },
      })),
    },
  };
}

/** A route of the Gateway's port 80: that is where authorities ask. */
function challengeRoute(
  { metadata: { name } }: Gateway,
  metadata: Metadata,
  service: string,
  challenges: readonly Challenge[],
): Draft<HTTPRoute> {
  return {
    metadata,
    spec: {
      parentRefs: [{ group: gatewayGroup, kind: "Gateway", name, port: 80 }],
      hostnames: challenges.map(({ host }) => host),
      rules: [
        {
          matches: challenges.map(({ token }) => ({ path: { type: "Exact", value: challengePath + token } })),
          backendRefs: [{ name: service, port: 80 }],
        },
      ],
    },
  };
}
