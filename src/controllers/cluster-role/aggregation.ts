import { startController } from "../../client/index.ts";
import { aggregatedRules, resources, semanticEqual } from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";

/** Keeps the rules of ClusterRoles that take in others by label (`aggregationRule`). */
export function startClusterRoleAggregation(context: ControllerContext): Component {
  const { client, informers } = context;
  const roles = informers.of(resources.ClusterRole);

  const reconcile = async (name: string): Promise<void> => {
    const role = roles.get({ name });
    if (!role?.aggregationRule || role.metadata.deletionTimestamp) return;
    const rules = aggregatedRules(role, roles.list());
    if (!semanticEqual(role.rules ?? [], rules)) await client.update(resources.ClusterRole, { ...role, rules });
  };

  const controller = startController({
    ...context,
    name: "cluster role aggregation",
    reconcile,
    after: [roles.synced],
  });
  roles.onChange(() => {
    for (const { metadata, aggregationRule } of roles.list()) if (aggregationRule) controller.enqueue(metadata.name);
  });
  return controller;
}
