import { keyOf, matchesLabels } from "../../kube/index.ts";
import { leadsProofs } from "../challenge.ts";
import { no, yes } from "./conditions.ts";
import { hostnamesOn } from "./hostnames.ts";
import { type GatewayListeners, holderKey, type ListenerEntry } from "./listeners.ts";
import {
  type AnyRoute,
  type Gateway,
  type GatewayCondition,
  gatewayGroup,
  type ParentRef,
  type RouteKindName,
} from "./types.ts";

/** A Gateway that is ours, with its listeners. */
export interface OurGateway {
  readonly gateway: Gateway;
  readonly listeners: GatewayListeners;
}

/** What became of one `parentRefs` entry that leads to a Gateway of ours. */
export interface Attachment {
  readonly parentRef: ParentRef;
  readonly gateway: OurGateway;
  readonly accepted: GatewayCondition;
  /** Where it is attached, with the host names that it has there. */
  readonly at: readonly { readonly entry: ListenerEntry; readonly hostnames: readonly string[] }[];
}

export interface AttachInput {
  /** Gateways and ListenerSets by `holderKey`. */
  readonly holders: ReadonlyMap<string, OurGateway>;
  readonly namespaceLabels: (name: string) => Readonly<Record<string, string>> | undefined;
}

/** Finds the listeners that a route attaches to, for each of its parents that is ours (HTTPRoute `parentRefs`). */
export function attach(kind: RouteKindName, route: AnyRoute, input: AttachInput): Attachment[] {
  const namespace = route.metadata.namespace ?? "";
  const isProof = kind === "TLSRoute" && leadsProofs(route);
  return (route.spec.parentRefs ?? []).flatMap((parentRef) => {
    const { group = gatewayGroup, kind: parentKind = "Gateway", name } = parentRef;
    if (group !== gatewayGroup || (parentKind !== "Gateway" && parentKind !== "ListenerSet")) return [];
    const key = `${parentKind} ${parentRef.namespace ?? namespace}/${name}`;
    const gateway = input.holders.get(key);
    return gateway ? [attachTo(parentRef, key, gateway)] : [];
  });

  function attachTo(parentRef: ParentRef, key: string, gateway: OurGateway): Attachment {
    const refuse = (reason: string, message: string): Attachment => ({
      parentRef,
      gateway,
      accepted: no("Accepted", reason, message),
      at: [],
    });
    const { own, sets } = gateway.listeners;
    const set = sets.find((each) => holderKey(each.set) === key);
    if (set && !set.allowed) return refuse("NoMatchingParent", `${key} is not attached to its Gateway`);
    const { sectionName, port } = parentRef;
    const entries = (set ? set.entries : own).filter(
      ({ spec }) => (sectionName ?? spec.name) === spec.name && (port ?? spec.port) === spec.port,
    );
    if (entries.length === 0) {
      const what = [...(sectionName ? [`name ${sectionName}`] : []), ...(port ? [`port ${port}`] : [])].join(" and ");
      return refuse("NoMatchingParent", `${key} has no listener with ${what || "any name"}`);
    }
    const allowed = entries.filter((entry) => allows(entry));
    if (allowed.length === 0)
      return refuse("NotAllowedByListeners", `no listener of ${key} takes a ${kind} of namespace ${namespace}`);
    const at = allowed.flatMap((entry) => {
      if (kind === "TCPRoute" || kind === "UDPRoute") return [{ entry, hostnames: [""] }];
      const hostnames = hostnamesOn(entry.hostname, route.spec.hostnames ?? []);
      return hostnames.length > 0 ? [{ entry, hostnames }] : [];
    });
    if (at.length === 0)
      return refuse(
        "NoMatchingListenerHostname",
        `no listener of ${key} has a host name in common with ${keyOf(route)}`,
      );
    return { parentRef, gateway, accepted: yes("Accepted"), at };
  }

  function allows({ spec, holder, kinds }: ListenerEntry): boolean {
    // Who leads the proofs of a name can get its certificate: that is for the holder's own namespace, whatever routes the listener takes.
    if (isProof)
      return (spec.protocol === "HTTPS" || spec.protocol === "TLS") && namespace === holder.metadata.namespace;
    if (!kinds.includes(kind)) return false;
    const { from = "Same", selector } = spec.allowedRoutes?.namespaces ?? {};
    if (from === "All") return true;
    if (from === "Same") return namespace === holder.metadata.namespace;
    return from === "Selector" && matchesLabels(selector, input.namespaceLabels(namespace) ?? {});
  }
}
