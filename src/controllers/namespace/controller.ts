import { startController } from "../../client/index.ts";
import {
  formatTime,
  isStatus,
  type Namespace,
  type NamespaceCondition,
  type Resource,
  resources,
  semanticEqual,
  setCondition,
} from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";
import { conditionsOf, removeContent, type Remains } from "./content.ts";

const finalizer = "kubernetes";
/** Milliseconds after which a namespace with something left in it is looked at again, should no event tell. */
const patience = 5000;

/** Empties namespaces that are being deleted, and lets them go when nothing is left. */
export function startNamespaceController(context: ControllerContext): Component {
  const { client, clock, informers } = context;
  const namespaces = informers.of(resources.Namespace);

  const tell = async (namespace: Namespace, remains: Remains): Promise<void> => {
    let conditions: readonly NamespaceCondition[] = namespace.status?.conditions ?? [];
    for (const condition of conditionsOf(remains)) {
      conditions = setCondition<NamespaceCondition>(conditions, condition, formatTime(clock.now()));
    }
    const status = { ...namespace.status, phase: "Terminating", conditions: [...conditions] };
    if (!semanticEqual(status, namespace.status)) {
      await client.updateStatus(resources.Namespace, { ...namespace, status });
    }
  };

  const reconcile = async (name: string) => {
    const namespace = namespaces.get({ name });
    if (!namespace?.metadata.deletionTimestamp || !namespace.spec.finalizers?.includes(finalizer)) return undefined;
    let remains = await removeContent(client, name);
    // Most goes at once: pods first, then the rest, then nothing is left to see.
    for (let pass = 0; pass < 2 && remains.objects.size > 0; pass++) remains = await removeContent(client, name);
    try {
      if (remains.objects.size > 0 || remains.failures.length > 0) {
        await tell(namespace, remains);
        return { again: patience };
      }
      const finalizers = namespace.spec.finalizers.filter((other) => other !== finalizer);
      const empty = { ...namespace, spec: { ...namespace.spec, finalizers } };
      await client.update(resources.Namespace, empty, { subresource: "finalize" });
    } catch (error) {
      if (!isStatus(error, "NotFound")) throw error;
    }
    return undefined;
  };

  const controller = startController({
    ...context,
    name: "namespace",
    reconcile,
    concurrency: 2,
    after: [namespaces.synced],
  });
  namespaces.onChange(({ after }) => {
    if (after?.metadata.deletionTimestamp) controller.enqueue(after.metadata.name);
  });
  // What goes from a namespace may have been the last.
  for (const resource of Object.values(resources) as Resource[]) {
    if (!resource.namespaced || resource.kind === "Event") continue;
    const informer = resource === resources.ConfigMap ? informers.metadataOf(resource) : informers.of(resource);
    informer.onChange(({ before, after }) => {
      const namespace = after ? undefined : before?.metadata.namespace;
      if (namespace && namespaces.get({ name: namespace })?.metadata.deletionTimestamp) controller.enqueue(namespace);
    });
  }
  return controller;
}
