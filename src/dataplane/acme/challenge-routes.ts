import { createHash } from "node:crypto";
import { type Draft, type Ingress, keyOf } from "../../kube/index.ts";
import {
  alpnAnnotation,
  type AnyRoute,
  challengeProtocol,
  type ChallengeType,
  challengeTypes,
  type Gateway,
  gatewayGroup,
  type HTTPRoute,
  type ListenerSet,
  type ParentRef,
} from "../../routing/index.ts";
import { challengePath } from "./answers.ts";
import { type Asker, gatewayRef, isIngress } from "./asks.ts";
import type { Challenge } from "./issue.ts";
import type { WantedCertificate } from "./wanted.ts";

/** On what is made for a challenge. */
export const challengeLabel = "fairlead.dev/acme-challenge";
/** Ports of a challenge's Service. */
export const challengePorts = { "http-01": 80, "tls-alpn-01": 443 } as const;
/** A route of the Gateway API takes no more host names. */
const mostHostnames = 16;

export type ChallengeRoute = {
  readonly name: string;
  readonly challenges: readonly Challenge[];
  readonly asker: Asker;
} & (
  | { readonly kind: "Ingress"; readonly draft: Draft<Ingress> }
  | { readonly kind: "HTTPRoute"; readonly draft: Draft<HTTPRoute> }
  | { readonly kind: "TLSRoute"; readonly draft: Draft<AnyRoute> }
);

/** Name of the Service of a certificate's challenges, and what the names of its routes begin with. */
export const challengeName = ({ name }: WantedCertificate): string => `acme-${hash(name)}`;

const hash = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 8);

/** What leads authorities to the Service: through each asker, for those of its own hosts. */
export function challengeRoutes(wanted: WantedCertificate, challenges: readonly Challenge[]): ChallengeRoute[] {
  const service = challengeName(wanted);
  /** All Ingresses are one table of routes: of two for one path, one is not served. */
  const byIngress = new Set<Challenge>();
  return [...wanted.askers].flatMap(([asker, hosts]): ChallengeRoute[] => {
    const own = challenges.filter((each) => hosts.has(each.host) && (!isIngress(asker) || !byIngress.has(each)));
    if (isIngress(asker)) for (const each of own) byIngress.add(each);
    return challengeTypes.flatMap((type) => {
      const some = own.filter((each) => each.type === type);
      return chunks(some, isIngress(asker) ? Infinity : mostHostnames).map((few, index): ChallengeRoute => {
        const name = `${service}-${hash(`${asker.kind} ${keyOf(asker)} ${type}`)}-${index}`;
        const labels = { [challengeLabel]: "true" };
        const metadata: Metadata = { namespace: wanted.namespace, name, labels };
        const about = { name, asker, challenges: few };
        if (isIngress(asker))
          return { ...about, kind: "Ingress", draft: challengeIngress(asker, type, metadata, service, few) };
        return type === "http-01"
          ? { ...about, kind: "HTTPRoute", draft: httpRoute(asker, metadata, service, few) }
          : { ...about, kind: "TLSRoute", draft: tlsRoute(asker, metadata, service, few) };
      });
    });
  });
}

function chunks<T>(all: readonly T[], size: number): (readonly T[])[] {
  if (all.length <= size) return all.length === 0 ? [] : [all];
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
}

interface Metadata {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Record<string, string>;
}

/** What asks in clear must not be kept out by what a ConfigMap says of all Ingresses; what asks by TLS is not opened at all. */
const ingressAnnotations: Readonly<Record<ChallengeType, Record<string, string>>> = {
  "http-01": {
    "nginx.ingress.kubernetes.io/ssl-redirect": "false",
    "nginx.ingress.kubernetes.io/enable-global-auth": "false",
    "nginx.ingress.kubernetes.io/whitelist-source-range": "0.0.0.0/0,::/0",
  },
  "tls-alpn-01": { [alpnAnnotation]: challengeProtocol },
};

/** An Ingress of the same class, with a path for each token: that says who answers also where only the host counts. */
function challengeIngress(
  like: Ingress,
  type: ChallengeType,
  metadata: Metadata,
  service: string,
  challenges: readonly Challenge[],
): Draft<Ingress> {
  const legacy = like.metadata.annotations?.["kubernetes.io/ingress.class"];
  const { ingressClassName } = like.spec;
  const backend = { service: { name: service, port: { number: challengePorts[type] } } };
  return {
    metadata: {
      ...metadata,
      annotations: {
        ...ingressAnnotations[type],
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

const selfRef = ({ kind, metadata: { name } }: Gateway | ListenerSet): ParentRef => ({
  group: gatewayGroup,
  kind,
  name,
});

/** A route of port 80, which is where authorities ask: that of the Gateway, and that of the ListenerSet if it has one. */
function httpRoute(
  asker: Gateway | ListenerSet,
  metadata: Metadata,
  service: string,
  challenges: readonly Challenge[],
): Draft<HTTPRoute> {
  const parents = asker.kind === "Gateway" ? [selfRef(asker)] : [gatewayRef(asker), selfRef(asker)];
  return {
    metadata,
    spec: {
      parentRefs: parents.map((each) => ({ ...each, port: 80 })),
      hostnames: challenges.map(({ host }) => host),
      rules: [
        {
          matches: challenges.map(({ token }) => ({ path: { type: "Exact", value: challengePath + token } })),
          backendRefs: [{ name: service, port: challengePorts["http-01"] }],
        },
      ],
    },
  };
}

/** A route of the asker's own port 443, for those only who want to see a proof. */
function tlsRoute(
  asker: Gateway | ListenerSet,
  metadata: Metadata,
  service: string,
  challenges: readonly Challenge[],
): Draft<AnyRoute> {
  return {
    metadata: { ...metadata, annotations: { [alpnAnnotation]: challengeProtocol } },
    spec: {
      parentRefs: [{ ...selfRef(asker), port: 443 }],
      hostnames: challenges.map(({ host }) => host),
      rules: [{ backendRefs: [{ name: service, port: challengePorts["tls-alpn-01"] }] }],
    },
  };
}
