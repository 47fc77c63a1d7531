import { startController } from "../../client/index.ts";
import {
  compareQuantities,
  isCounted,
  keyOf,
  nameOfKey,
  resources,
  semanticEqual,
  usedOf,
  type KubeObject,
  type Resource,
  type ResourceQuota,
} from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";

/** Milliseconds after which a quota is counted anew whatever has happened: writes that were counted and then failed are put right. */
const resync = 300_000;

/** Milliseconds that a quota must have been left alone before less is written: what was counted a moment ago may not be there yet. */
const settle = 500;

const counted = (Object.values(resources) as Resource[]).filter(
  ({ namespaced, kind }) => namespaced && kind !== "Event",
);

/**
 * Counts what the objects of a namespace use of its quotas and writes it in their status. Admission adds to that what comes; here it is
 * taken off again when it goes. What is counted of kinds that are not built in stays as admission has left it.
 */
export function startResourceQuotaController(context: ControllerContext): Component {
  const { client, clock, informers } = context;
  const quotas = informers.of(resources.ResourceQuota);
  const kinds = counted.map((resource) => ({ resource, informer: informers.of<KubeObject>(resource) }));

  const seen = new Map<string, { version: string | undefined; at: number }>();

  /** How long the quota has been as it is, in milliseconds. */
  const ageOf = (key: string, { metadata: { resourceVersion: version } }: ResourceQuota): number => {
    const known = seen.get(key);
    if (known && known.version === version) return clock.now() - known.at;
    seen.set(key, { version, at: clock.now() });
    return 0;
  };

  const reconcile = async (key: string): Promise<{ again: number } | undefined> => {
    const { namespace = "", name } = nameOfKey(key);
    const quota = quotas.get({ namespace, name });
    if (!quota || quota.metadata.deletionTimestamp) {
      seen.delete(key);
      return undefined;
    }
    const hard = quota.spec.hard ?? {};
    const names = Object.keys(hard);
    function* objects() {
      for (const { resource, informer } of kinds)
        if (names.some((one) => isCounted(resource, one)))
          for (const object of informer.list(namespace)) yield { resource, object };
    }
    const used = Object.fromEntries(
      Object.entries(usedOf(quota, objects())).map(([one, amount]) => [
        one,
        counted.some((resource) => isCounted(resource, one)) ? amount : (quota.status?.used?.[one] ?? amount),
      ]),
    );
    const status = { hard, used };
    if (semanticEqual(quota.status ?? {}, status)) return { again: resync };
    const before = quota.status?.used ?? {};
    const less = Object.entries(used).some(([one, amount]) => compareQuantities(amount, before[one] ?? "0") < 0);
    if (less && ageOf(key, quota) < settle) return { again: settle };
    await client.updateStatus(resources.ResourceQuota, { ...quota, status });
    return { again: resync };
  };

  const controller = startController({
    ...context,
    name: "resource quota",
    reconcile,
    after: [quotas.synced, ...kinds.map(({ informer }) => informer.synced)],
  });
  quotas.onChange(({ before, after }) => {
    // The status is written here and by admission: only what is asked for says that there is work.
    if (after && (!before || !semanticEqual(before.spec, after.spec) || !isCurrent(after)))
      controller.enqueue(keyOf(after));
  });
  for (const { resource, informer } of kinds) {
    informer.onChange(({ before, after }) => {
      const released = !after || (resource.kind === "Pod" && phaseOf(before) !== phaseOf(after));
      const namespace = (after ?? before)?.metadata.namespace;
      if (!released || namespace === undefined) return;
      for (const quota of quotas.list(namespace)) {
        if (Object.keys(quota.spec.hard ?? {}).some((name) => isCounted(resource, name)))
          controller.enqueue(keyOf(quota));
      }
    });
  }
  return controller;
}

const isCurrent = ({ spec, status }: ResourceQuota): boolean => semanticEqual(spec.hard ?? {}, status?.hard ?? {});

function phaseOf(object: KubeObject | undefined): string {
  return (object as { status?: { phase?: string } } | undefined)?.status?.phase ?? "";
}
