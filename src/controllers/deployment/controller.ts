import { type EventRecorder, createEventRecorder, startController } from "../../client/index.ts";
import { isStatus, keyOf, matchesLabels, nameOfKey, type Pod, type ReplicaSet, resources } from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";
import { carryOut, claimOf, controllerIndex, controllerOf, orphansIn } from "../owners.ts";
import { rememberWrites } from "../own-writes.ts";
import { rollOut } from "./rollout.ts";

/**
 * Rolls out what Deployments say, by way of one ReplicaSet per pod template: the semantics of upstream's deployment
 * controller, with its revisions, conditions, events and annotations.
 */
export function startDeploymentController(context: ControllerContext): Component {
  const { clock, informers } = context;
  const writes = rememberWrites(context.client, [resources.Deployment, resources.ReplicaSet], clock);
  const { client } = writes;
  const deployments = informers.of(resources.Deployment);
  const sets = informers.of(resources.ReplicaSet, controllerIndex);
  const pods = informers.of(resources.Pod, controllerIndex);
  const events: EventRecorder = createEventRecorder(client, { ...context, component: "deployment-controller" });

  const reconcile = async (key: string) => {
    const deployment = deployments.get(nameOfKey(key));
    if (!deployment) return undefined;
    const { selector } = deployment.spec;
    if (!selector.matchLabels && !selector.matchExpressions?.length) {
      const message = "This deployment is selecting all pods. A non-empty selector is required.";
      events.event(deployment, "Warning", "SelectingAll", message);
      return undefined;
    }
    const owned = sets.by("controller", deployment.metadata.uid ?? "");
    if (writes.isBehind(deployment) || owned.some((set) => writes.isBehind(set))) return undefined;
    const orphans = sets.by("controller", orphansIn(deployment.metadata.namespace));
    const claim = claimOf(deployment, selector, owned, orphans);
    const all = await carryOut(client, resources.ReplicaSet, resources.Deployment, deployment, claim);
    const podsOf = (set: ReplicaSet) => pods.by("controller", set.metadata.uid ?? "");
    try {
      return await rollOut({ client, events, now: clock.now(), podsOf }, deployment, all);
    } catch (error) {
      if (isStatus(error, "NotFound") && !deployments.get(nameOfKey(key))) return undefined;
      throw error;
    }
  };

  const controller = startController({
    ...context,
    name: "deployment",
    reconcile,
    concurrency: 5,
    after: [deployments.synced, sets.synced, pods.synced],
  });

  const ownerKey = (set: ReplicaSet): string | undefined => {
    const owner = controllerOf(set);
    if (owner?.kind !== "Deployment") return undefined;
    return keyOf({ metadata: { namespace: set.metadata.namespace ?? "", name: owner.name } });
  };

  deployments.onChange(({ before, after }) => {
    const deployment = after ?? before;
    if (before && !after) writes.forget(before);
    if (deployment) controller.enqueue(keyOf(deployment));
  });
  sets.onChange(({ before, after }) => {
    if (before && !after) writes.forget(before);
    for (const key of new Set([before && ownerKey(before), after && ownerKey(after)])) if (key) controller.enqueue(key);
    if (after && !controllerOf(after)) {
      for (const deployment of deployments.list(after.metadata.namespace)) {
        if (matchesLabels(deployment.spec.selector, after.metadata.labels)) controller.enqueue(keyOf(deployment));
      }
    }
  });
  // A Recreate rollout waits for the last old pod.
  pods.onChange(({ before, after }) => {
    const set = before && !after ? setOf(before) : undefined;
    const key = set && ownerKey(set);
    if (key && deployments.get(nameOfKey(key))?.spec.strategy?.type === "Recreate") controller.enqueue(key);
  });
  const setOf = (pod: Pod): ReplicaSet | undefined => {
    const owner = controllerOf(pod);
    const name = { namespace: pod.metadata.namespace ?? "", name: owner?.name ?? "" };
    return owner?.kind === "ReplicaSet" ? sets.get(name) : undefined;
  };
  return controller;
}
