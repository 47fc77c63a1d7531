import { createEventRecorder, messageOf, startController, unless } from "../../client/index.ts";
import { keyOf, nameOfKey, type PersistentVolumeClaimTemplate, type Pod, resources } from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";
import { referenceTo } from "../pod-draft.ts";

/** Makes the claims of pods' generic ephemeral volumes (KEP-1698). The pod owns them, so they go with it. */
export function startEphemeralVolumes(context: ControllerContext): Component {
  const { client, informers } = context;
  const pods = informers.of(resources.Pod);
  const claims = informers.of(resources.PersistentVolumeClaim);
  const events = createEventRecorder(client, { ...context, component: "ephemeral_volume" });

  const make = async (pod: Pod, name: string, template: PersistentVolumeClaimTemplate) => {
    const { namespace = "" } = pod.metadata;
    const found = claims.get({ namespace, name });
    if (found) {
      if (found.metadata.ownerReferences?.some(({ uid }) => uid === pod.metadata.uid)) return;
      const fault = `PVC ${namespace}/${name} was not created for pod ${namespace}/${pod.metadata.name} (pod is not owner)`;
      events.event(pod, "Warning", "FailedBinding", `ephemeral volume: ${fault}`);
      return;
    }
    const { labels, annotations } = template.metadata ?? {};
    const metadata = {
      name,
      namespace,
      ...(labels ? { labels } : {}),
      ...(annotations ? { annotations } : {}),
      ownerReferences: [referenceTo(pod, resources.Pod)],
    };
    const draft = { metadata, spec: template.spec };
    try {
      await unless(client.create(resources.PersistentVolumeClaim, draft), "AlreadyExists");
    } catch (error) {
      events.event(
        pod,
        "Warning",
        "FailedBinding",
        `ephemeral volume: create PVC ${namespace}/${name}: ${messageOf(error)}`,
      );
      throw error;
    }
  };

  const controller = startController({
    ...context,
    name: "ephemeral volumes",
    reconcile: async (key) => {
      const pod = pods.get(nameOfKey(key));
      if (!pod || pod.metadata.deletionTimestamp) return;
      for (const [name, template] of templatesOf(pod)) await make(pod, name, template);
    },
    after: [pods.synced, claims.synced],
  });
  pods.onChange(({ before, after }) => {
    if (after && !before && templatesOf(after).length > 0) controller.enqueue(keyOf(after));
  });
  // Who deletes the claim of a pod that is to come gets it back.
  claims.onChange(({ before, after }) => {
    const owner = after ? undefined : before?.metadata.ownerReferences?.find(({ kind }) => kind === "Pod");
    if (owner)
      controller.enqueue(keyOf({ metadata: { namespace: before?.metadata.namespace ?? "", name: owner.name } }));
  });
  return controller;
}

/** Names of the claims and what they are made from. */
function templatesOf({ metadata, spec }: Pod) {
  return (spec.volumes ?? []).flatMap(({ name, ephemeral }) =>
    ephemeral?.volumeClaimTemplate ? [[`${metadata.name}-${name}`, ephemeral.volumeClaimTemplate] as const] : [],
  );
}
