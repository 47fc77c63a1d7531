import type { Client } from "../../client/index.ts";
import { isStatus, jsonEqual, keyOf, type KubeObject, type Resource } from "../../kube/index.ts";
import {
  type AncestorStatus,
  type AnyRoute,
  type BackendTLSPolicy,
  type Confirmation,
  type Gateway,
  gatewayStatus,
  type GatewayTranslation,
  type ListenerSet,
  listenerSetStatus,
  mergeEntries,
  type ParentStatus,
  sameParent,
} from "../../routing/index.ts";
import type { Clock } from "../../system/index.ts";

export interface StatusWriterOptions {
  readonly client: Client;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly controllerName: string;
}

/** Writes statuses of the Gateway API's objects, when they differ from what is there. */
export interface StatusWriter {
  /** `object` is what is there now; `translation` what it, or an earlier version of it, was understood as. */
  write(
    resource: Resource<KubeObject>,
    object: KubeObject,
    translation: GatewayTranslation,
    confirm: (gateway: Gateway) => Confirmation,
  ): Promise<void>;
}

/** The API takes so many ancestors of a policy. */
const mostAncestors = 16;

export function createStatusWriter({ client, signal, clock, controllerName }: StatusWriterOptions): StatusWriter {
  return {
    async write(resource, object, translation, confirm) {
      const now = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, "Z");
      const status = statusOf(resource.kind, object, translation, confirm, now);
      if (!status || jsonEqual(status, (object as { status?: object }).status ?? {})) return;
      await client.updateStatus(resource, { ...object, status } as KubeObject, { signal }).catch((error: unknown) => {
        if (!isStatus(error, "NotFound")) throw error;
      });
    },
  };

  function statusOf(
    kind: string,
    object: KubeObject,
    translation: GatewayTranslation,
    confirm: (gateway: Gateway) => Confirmation,
    now: string,
  ): object | undefined {
    const key = keyOf(object);
    const isIt = (other: KubeObject): boolean =>
      keyOf(other) === key &&
      other.metadata.uid === object.metadata.uid &&
      other.metadata.generation === object.metadata.generation;
    if (kind === "Gateway") {
      const report = translation.gateways.find(({ gateway }) => isIt(gateway));
      return report && gatewayStatus(report, confirm(report.gateway), (object as Gateway).status, now);
    }
    if (kind === "ListenerSet") {
      const report = translation.gateways.find(({ listeners }) => listeners.sets.some(({ set }) => isIt(set)));
      return report && listenerSetStatus(report, object as ListenerSet, confirm(report.gateway), now);
    }
    if (kind === "BackendTLSPolicy") {
      const before = (object as BackendTLSPolicy).status?.ancestors ?? [];
      const report = translation.policies.find(({ policy }) => isIt(policy));
      if (!report) return undefined;
      const same = (a: AncestorStatus, b: AncestorStatus): boolean => sameParent(a.ancestorRef, b.ancestorRef, "");
      const ancestors = mergeEntries(before, report.ancestors, controllerName, same, now).slice(0, mostAncestors);
      return before.length === 0 && ancestors.length === 0 ? undefined : { ancestors };
    }
    if (!kind.endsWith("Route")) return undefined;
    const before = (object as AnyRoute).status?.parents ?? [];
    const report = translation.routes.find((each) => each.kind === kind && isIt(each.route));
    // One that was understood in an earlier form is spoken of by the next translation.
    if (!report && translation.routes.some((each) => each.kind === kind && keyOf(each.route) === key)) return undefined;
    const same = (a: ParentStatus, b: ParentStatus): boolean =>
      sameParent(a.parentRef, b.parentRef, object.metadata.namespace ?? "");
    const parents = mergeEntries(before, report?.parents ?? [], controllerName, same, now);
    return before.length === 0 && parents.length === 0 ? undefined : { parents };
  }
}
