import { type Ingress, keyOf, nameOfKey } from "../../kube/index.ts";
import {
  asksForCertificates,
  type ChallengeType,
  challengeTypeAnnotation,
  challengeTypeOf,
  challengeTypes,
  type Gateway,
  gatewayGroup,
  type GatewayReport,
  type ListenerSet,
  type ListenerSpec,
  type ParentRef,
} from "../../routing/index.ts";

/** What asks for certificates, and what its names are proved through. */
export type Asker = Ingress | Gateway | ListenerSet;

export const isIngress = (asker: Asker): asker is Ingress => asker.kind === "Ingress";

/** The Gateway, as `namespace/name`, whose ports serve the listeners of one of them. */
export function gatewayOf(asker: Gateway | ListenerSet): string {
  if (!("parentRef" in asker.spec)) return keyOf(asker);
  const { namespace = asker.metadata.namespace ?? "", name } = asker.spec.parentRef;
  return `${namespace}/${name}`;
}

/** A reference to that Gateway. */
export const gatewayRef = (asker: Gateway | ListenerSet): ParentRef => ({
  group: gatewayGroup,
  kind: "Gateway",
  ...nameOfKey(gatewayOf(asker)),
});

/** One name that is to be in the certificate of one Secret, of the asker's namespace. */
export interface Ask {
  readonly asker: Asker;
  readonly secretName: string;
  /** Where the asker says so. */
  readonly field: string;
  readonly host: string;
  /** How it is to be proved. */
  readonly type: ChallengeType;
  /** Why it cannot be had. */
  readonly why?: string;
}

/** How an asker's names are proved, and why not at all when it asks for what is not known. */
function wayOf(asker: Asker): Pick<Ask, "type" | "why"> {
  const type = challengeTypeOf(asker);
  if (type !== undefined) return { type };
  const said = JSON.stringify(asker.metadata.annotations?.[challengeTypeAnnotation]);
  return {
    type: "http-01",
    why: `cannot be proved by ${said} (${challengeTypeAnnotation}): ${challengeTypes.join(" or ")}`,
  };
}

/**
 * What Ingresses, oldest first, ask for by `spec.tls`. A host is that of the namespace whose Ingress had it first: another one could
 * prove it as well, and must not have its certificate.
 */
export function* askedByIngresses(ingresses: readonly Ingress[]): Generator<Ask> {
  const owners = new Map<string, string>();
  for (const { metadata, spec } of ingresses)
    for (const { host = "" } of spec.rules ?? []) if (!owners.has(host)) owners.set(host, metadata.namespace ?? "");
  for (const ingress of ingresses) {
    if (!asksForCertificates(ingress)) continue;
    const namespace = ingress.metadata.namespace ?? "";
    for (const [index, { secretName, hosts }] of (ingress.spec.tls ?? []).entries()) {
      if (!secretName) continue;
      const named = hosts ?? (ingress.spec.rules ?? []).flatMap(({ host }) => host ?? []);
      for (const host of named) {
        const isOwn = (owners.get(host) ?? namespace) === namespace;
        const why = isOwn ? {} : { why: "belongs to another namespace, whose Ingress is older" };
        yield { asker: ingress, secretName, field: `spec.tls[${index}]`, host, ...wayOf(ingress), ...why };
      }
    }
  }
}

/** A listener of a Gateway, or of a ListenerSet that its Gateway takes. */
export interface AskingListener {
  readonly holder: Gateway | ListenerSet;
  /** Of the holder. */
  readonly field: string;
  readonly spec: ListenerSpec;
}

/** The listeners of a Gateway and of its ListenerSets: none of those whose port or host name is another's. */
export function listenersOf({ listeners: { own, sets } }: GatewayReport): AskingListener[] {
  return [...own, ...sets.flatMap(({ allowed, entries }) => (allowed ? entries : []))].flatMap(
    ({ accepted, holder, owner: { field }, spec }) =>
      accepted.status === "True" ? [{ holder: holder as Gateway | ListenerSet, field, spec }] : [],
  );
}

/**
 * What Gateways and ListenerSets ask for by their listeners that end TLS: the host name of each, in the Secret that it names first. A
 * Gateway has addresses of its own, and its names are proved there: whose a name is, DNS decides.
 */
export function* askedByListeners(listeners: readonly AskingListener[]): Generator<Ask> {
  for (const { holder, field, spec } of listeners) {
    const { hostname = "", tls } = spec;
    const [first] = tls?.certificateRefs ?? [];
    if (!asksForCertificates(holder) || !tls || tls.mode === "Passthrough" || !first) continue;
    const { group = "", kind = "Secret", name } = first;
    if (group !== "" || kind !== "Secret") continue;
    const namespace = holder.metadata.namespace ?? "";
    const isOwn = (first.namespace ?? namespace) === namespace;
    const why = isOwn ? {} : { why: "is to be in another namespace's Secret, which is not written" };
    yield { asker: holder, secretName: name, field, host: hostname.toLowerCase(), ...wayOf(holder), ...why };
  }
}
