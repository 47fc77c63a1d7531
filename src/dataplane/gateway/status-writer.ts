import type { Client } from "../../client/index.ts";
import { isStatus, jsonEqual, keyOf, type KubeObject, type Resource } from "../../kube/index.ts";
import {
  type AncestorStatus,
  type AnyRoute,
  type BackendTLSPolicy,
  type Confirmation,
  type Gateway,
  gatewayStatus,
  type GatewayReport,
  type GatewayTranslation,
  type ListenerSet,
  listenerSetStatus,
  mergeEntries,
  type ParentStatus,
  type PolicyReport,
  sameParent,
} from "../../routing/index.ts";
import type { Clock } from "../../system/index.ts";
import { type Refusals, withRefusals } from "./refusals.ts";

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
    refusals: Refusals,
    confirm: (gateway: Gateway) => Confirmation,
  ): Promise<void>;
}

/** The API takes so many ancestors of a policy. */
const mostAncestors = 16;

interface Reports {
  readonly gateways: ReadonlyMap<string, GatewayReport>;
  /** Of the Gateway that a ListenerSet belongs to. */
  readonly bySet: ReadonlyMap<string, GatewayReport>;
  readonly policies: ReadonlyMap<string, PolicyReport>;
}

const indexed = new WeakMap<GatewayTranslation, Reports>();

function reportsOf(translation: GatewayTranslation): Reports {
  let reports = indexed.get(translation);
  if (!reports) {
    const { gateways, policies } = translation;
    reports = {
      gateways: new Map(gateways.map((report) => [keyOf(report.gateway), report])),
      bySet: new Map(
        gateways.flatMap((report) => report.listeners.sets.map(({ set }) => [keyOf(set), report] as const)),
      ),
      policies: new Map(policies.map((report) => [keyOf(report.policy), report])),
    };
    indexed.set(translation, reports);
  }
  return reports;
}

export function createStatusWriter({ client, signal, clock, controllerName }: StatusWriterOptions): StatusWriter {
  return {
    async write(resource, object, translation, refusals, confirm) {
      const now = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, "Z");
      const status = statusOf(resource.kind, object, translation, refusals, confirm, now);
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
    refusals: Refusals,
    confirm: (gateway: Gateway) => Confirmation,
    now: string,
  ): object | undefined {
    const key = keyOf(object);
    const reports = reportsOf(translation);
    const isIt = (other: KubeObject): boolean =>
      keyOf(other) === key &&
      other.metadata.uid === object.metadata.uid &&
      other.metadata.generation === object.metadata.generation;
    if (kind === "Gateway") {
      const report = reports.gateways.get(key);
      if (!report || !isIt(report.gateway)) return undefined;
      return gatewayStatus(report, confirm(report.gateway), (object as Gateway).status, now);
    }
    if (kind === "ListenerSet") {
      const report = reports.bySet.get(key);
      if (!report?.listeners.sets.some(({ set }) => isIt(set))) return undefined;
      return listenerSetStatus(report, object as ListenerSet, confirm(report.gateway), now);
    }
    if (kind === "BackendTLSPolicy") {
      const before = (object as BackendTLSPolicy).status?.ancestors ?? [];
      const report = reports.policies.get(key);
      if (!report || !isIt(report.policy)) return undefined;
      const same = (a: AncestorStatus, b: AncestorStatus): boolean => sameParent(a.ancestorRef, b.ancestorRef, "");
      const ancestors = mergeEntries(before, report.ancestors, controllerName, same, now).slice(0, mostAncestors);
      return before.length === 0 && ancestors.length === 0 ? undefined : { ancestors };
    }
    if (!kind.endsWith("Route")) return undefined;
    const before = (object as AnyRoute).status?.parents ?? [];
    const report = translation.routes.get(`${kind} ${key}`);
    // One that was understood in an earlier form is spoken of by the next translation.
    if (report && !isIt(report.route)) return undefined;
    const ours = withRefusals(report?.parents ?? [], refusals.get(`${kind} ${key}`));
    const same = (a: ParentStatus, b: ParentStatus): boolean =>
      sameParent(a.parentRef, b.parentRef, object.metadata.namespace ?? "");
    const parents = mergeEntries(before, ours, controllerName, same, now);
    return before.length === 0 && parents.length === 0 ? undefined : { parents };
  }
}
