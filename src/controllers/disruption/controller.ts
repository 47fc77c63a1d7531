import { createEventRecorder, startController, unless } from "../../client/index.ts";
import {
  keyOf,
  matchesLabels,
  nameOfKey,
  type Pod,
  type PodDisruptionBudget,
  resources,
  semanticEqual,
} from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";
import { rememberWrites } from "../own-writes.ts";
import { type BudgetFault, failedStatus, needsOf, openEvictions, statusOf } from "./budget.ts";
import { createScales } from "./scales.ts";

/** Says in the status of each PodDisruptionBudget how many of its pods may be evicted now. */
export function startDisruptionController(context: ControllerContext): Component {
  const { clock, informers } = context;
  const writes = rememberWrites(context.client, [resources.PodDisruptionBudget], clock);
  const { client } = writes;
  const budgets = informers.of(resources.PodDisruptionBudget);
  const pods = informers.of(resources.Pod);
  const scales = createScales(context);
  const events = createEventRecorder(client, { ...context, component: "controllermanager" });

  const podsOf = ({ metadata, spec }: PodDisruptionBudget): readonly Pod[] =>
    spec.selector
      ? pods.list(metadata.namespace).filter((pod) => matchesLabels(spec.selector, pod.metadata.labels))
      : [];

  const reconcile = async (key: string) => {
    const budget = budgets.get(nameOfKey(key));
    if (!budget || writes.isBehind(budget)) return undefined;
    const now = clock.now();
    const selected = podsOf(budget);
    if (selected.length === 0) events.event(budget, "Normal", "NoPods", "No matching pods found");
    const { spec } = budget;
    const counts = spec.maxUnavailable !== undefined || typeof spec.minAvailable === "string";
    const { total, unmanaged, fault } = counts
      ? await scales.of(selected)
      : { total: 0, unmanaged: [], fault: undefined };
    if (unmanaged.length > 0) {
      const text = `Pods selected by this PodDisruptionBudget (selector: ${JSON.stringify(spec.selector)}) were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.`;
      events.event(budget, "Warning", "UnmanagedPods", text);
    }
    const needs = needsOf(budget, selected, (): number | BudgetFault => fault ?? total);
    const { evicted, again } = openEvictions(budget, selected, now);
    if ("error" in needs)
      events.event(
        budget,
        "Warning",
        "CalculateExpectedPodCountFailed",
        `Failed to calculate the number of expected pods: ${needs.error}`,
      );
    const status =
      "error" in needs ? failedStatus(budget, needs, now) : statusOf(budget, selected, needs, evicted, now);
    if (!semanticEqual(status, budget.status)) {
      // An eviction in between makes this a conflict.
      await unless(client.updateStatus(resources.PodDisruptionBudget, { ...budget, status }), "NotFound");
    }
    if ("error" in needs) throw new Error(needs.error);
    return again === undefined ? undefined : { again };
  };

  const controller = startController({
    ...context,
    name: "disruption",
    reconcile,
    after: [budgets.synced, pods.synced, ...scales.synced],
  });
  budgets.onChange(({ before, after }) => {
    if (before && !after) writes.forget(before);
    if (after) controller.enqueue(keyOf(after));
  });
  const enqueueFor = (pod: Pod): void => {
    for (const budget of budgets.list(pod.metadata.namespace)) {
      if (budget.spec.selector && matchesLabels(budget.spec.selector, pod.metadata.labels))
        controller.enqueue(keyOf(budget));
    }
  };
  pods.onChange(({ before, after }) => {
    if (after) enqueueFor(after);
    if (before && !semanticEqual(before.metadata.labels, after?.metadata.labels)) enqueueFor(before);
  });
  // Who has more or fewer pods to come changes what a percentage is of.
  scales.onChange((namespace) => {
    for (const budget of budgets.list(namespace)) controller.enqueue(keyOf(budget));
  });
  return controller;
}
