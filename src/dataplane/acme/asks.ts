import type { Ingress } from "../../kube/index.ts";
import type { Gateway } from "../../routing/index.ts";

/** `"true"` on an Ingress or a Gateway: its certificates are got by ACME. The second is what other controllers call it. */
const acmeAnnotations = ["fairlead.dev/acme", "kubernetes.io/tls-acme"] as const;

/** What asks for certificates, and what its names are proved through. */
export type Asker = Ingress | Gateway;

export const isGateway = (asker: Asker): asker is Gateway => asker.kind === "Gateway";

/** One name that is to be in the certificate of one Secret, of the asker's namespace. */
export interface Ask {
  readonly asker: Asker;
  readonly secretName: string;
  /** Where the asker says so. */
  readonly field: string;
  readonly host: string;
  /** Why it cannot be had. */
  readonly why?: string;
}

const asks = ({ metadata: { annotations } }: Asker): boolean =>
  acmeAnnotations.some((name) => annotations?.[name] === "true");

/**
 * What Ingresses, oldest first, ask for by `spec.tls`. A host is that of the namespace whose Ingress had it first: another one could
 * prove it as well, and must not have its certificate.
 */
export function* askedByIngresses(ingresses: readonly Ingress[]): Generator<Ask> {
  const owners = new Map<string, string>();
  for (const { metadata, spec } of ingresses)
    for (const { host = "" } of spec.rules ?? []) if (!owners.has(host)) owners.set(host, metadata.namespace ?? "");
  for (const ingress of ingresses) {
    if (!asks(ingress)) continue;
    const namespace = ingress.metadata.namespace ?? "";
    for (const [index, { secretName, hosts }] of (ingress.spec.tls ?? []).entries()) {
      if (!secretName) continue;
      const named = hosts ?? (ingress.spec.rules ?? []).flatMap(({ host }) => host ?? []);
      for (const host of named) {
        const isOwn = (owners.get(host) ?? namespace) === namespace;
        const why = isOwn ? {} : { why: "belongs to another namespace, whose Ingress is older" };
        yield { asker: ingress, secretName, field: `spec.tls[${index}]`, host, ...why };
      }
    }
  }
}

/**
 * What Gateways ask for by their listeners that end TLS: the host name of each, in the Secret that it names first. A Gateway has addresses
 * of its own, and its names are proved there: whose a name is, DNS decides.
 */
export function* askedByGateways(gateways: readonly Gateway[]): Generator<Ask> {
  for (const gateway of gateways) {
    if (!asks(gateway)) continue;
    const namespace = gateway.metadata.namespace ?? "";
    for (const [index, { hostname = "", tls }] of (gateway.spec.listeners ?? []).entries()) {
      const [first] = tls?.certificateRefs ?? [];
      if (!tls || tls.mode === "Passthrough" || !first) continue;
      const { group = "", kind = "Secret", name } = first;
      if (group !== "" || kind !== "Secret") continue;
      const isOwn = (first.namespace ?? namespace) === namespace;
      const why = isOwn ? {} : { why: "is to be in another namespace's Secret, which is not written" };
      yield {
        asker: gateway,
        secretName: name,
        field: `spec.listeners[${index}]`,
        host: hostname.toLowerCase(),
        ...why,
      };
    }
  }
}
