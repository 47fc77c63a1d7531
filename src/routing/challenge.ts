import type { Ingress, KubeObject } from "../kube/index.ts";
import type { Listener, StreamRoute } from "./model.ts";
import { refOf, textOf } from "./owner.ts";
import { poolKey, type PoolTarget } from "./pool.ts";
import type { Problem } from "./problem.ts";
import { plainRule } from "./rule.ts";

/** `"true"` on an Ingress, a Gateway or a ListenerSet: its certificates are got by ACME. The second is what other controllers call it. */
const acmeAnnotations = ["fairlead.dev/acme", "kubernetes.io/tls-acme"] as const;

/** Beside them: how its names are proved. Default: `http-01`. */
export const challengeTypeAnnotation = "fairlead.dev/acme-challenge-type";

/** Names of the registry "ACME Validation Methods" (RFC 8555 section 9.7.8). */
export const challengeTypes = ["http-01", "tls-alpn-01"] as const;
export type ChallengeType = (typeof challengeTypes)[number];

/** The one protocol that a ClientHello offers by ALPN to see a proof (RFC 8737 section 4). */
export const challengeProtocol = "acme-tls/1";

/**
 * With the value `acme-tls/1`, on an Ingress or a TLSRoute: only connections whose ClientHello offers that protocol and no other are led
 * by it, for its host names, unopened.
 */
export const alpnAnnotation = "fairlead.dev/alpn";

/** The object asks for certificates by ACME. */
export function asksForCertificates({ metadata: { annotations } }: KubeObject): boolean {
  return acmeAnnotations.some((name) => annotations?.[name] === "true");
}

/** How the names of an object are to be proved; `undefined`: its annotation says what is no such way. */
export function challengeTypeOf({ metadata: { annotations } }: KubeObject): ChallengeType | undefined {
  const said = annotations?.[challengeTypeAnnotation] ?? "http-01";
  return challengeTypes.find((type) => type === said);
}

/** Proofs by TLS-ALPN-01 may come for the object's names. */
export function isProvedByTls(object: KubeObject): boolean {
  return asksForCertificates(object) && challengeTypeOf(object) === "tls-alpn-01";
}

/** The Ingress or TLSRoute leads proofs by TLS-ALPN-01, and nothing else. */
export function leadsProofs({ metadata: { annotations } }: KubeObject): boolean {
  return annotations?.[alpnAnnotation] === challengeProtocol;
}

/**
 * Where a connection goes that wants to see a proof by TLS-ALPN-01: whoever offers other protocols too, or asks for a name that is not
 * being proved, is nobody's but the listener's servers'. `serverName` in lower case.
 */
export function challengeFor(
  { challenges }: Listener,
  { serverName, protocols }: { readonly serverName: string; readonly protocols: readonly string[] },
): StreamRoute | undefined {
  return protocols.length === 1 && protocols[0] === challengeProtocol ? challenges?.get(serverName) : undefined;
}

/** A proof that an Ingress leads. */
interface LedProof {
  readonly route: StreamRoute;
  readonly target: PoolTarget;
}

/**
 * The proofs that Ingresses of their kind (`leadsProofs`) lead, by host; both lists are oldest first. A host is that of the namespace whose
 * Ingress had it first: who could lead its proofs could get its certificate.
 */
export function readProofs(
  leading: readonly Ingress[],
  others: readonly Ingress[],
): { readonly proofs: ReadonlyMap<string, LedProof>; readonly problems: readonly Problem[] } {
  const proofs = new Map<string, LedProof>();
  const problems: Problem[] = [];
  const owners = leading.length === 0 ? new Map<string, Ingress>() : firstByHost(others);
  for (const ingress of leading)
    for (const [index, { host = "", http }] of (ingress.spec.rules ?? []).entries()) {
      const object = refOf(ingress);
      const field = `spec.rules[${index}]`;
      const [path] = http?.paths ?? [];
      const { name: service, port } = path?.backend.service ?? {};
      const before = proofs.get(host)?.route.owner.object ?? foreign(owners.get(host), ingress);
      if (host === "" || host.startsWith("*") || service === undefined)
        problems.push({
          object,
          field,
          reason: "InvalidAnnotation",
          message: `with ${alpnAnnotation} a rule needs a whole host name, and a path that leads to a Service`,
          remedy: "name both, or leave the annotation out",
        });
      else if (before)
        problems.push({
          object,
          field: `${field}.host`,
          reason: "Conflict",
          message: `proofs of ${host} are for ${textOf(before)}, which is older`,
          remedy: "leave the host to it, or delete it",
        });
      else {
        const target: PoolTarget = { namespace: ingress.metadata.namespace ?? "", service, port, protocol: "tcp" };
        const owner = { object, field };
        const id = `${textOf(object)} ${host} ${challengeProtocol}`;
        proofs.set(host, { target, route: { id, host, rule: plainRule(id, poolKey(target), owner), owner } });
      }
    }
  return { proofs, problems };
}

function firstByHost(ingresses: readonly Ingress[]): Map<string, Ingress> {
  const first = new Map<string, Ingress>();
  for (const ingress of ingresses)
    for (const { host = "" } of ingress.spec.rules ?? []) if (!first.has(host)) first.set(host, ingress);
  return first;
}

/** The first Ingress of a host where it is of another namespace. */
function foreign(first: Ingress | undefined, ingress: Ingress): Problem["object"] | undefined {
  return first && first.metadata.namespace !== ingress.metadata.namespace ? refOf(first) : undefined;
}
