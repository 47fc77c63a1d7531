import { unless, type Informer } from "../../client/index.ts";
import { type KubeObject, type OwnerReference, type Pod, type Resource, resources } from "../../kube/index.ts";
import type { ControllerContext } from "../context.ts";
import { customKindOf } from "../custom-kinds.ts";
import { controllerOf } from "../owners.ts";
import type { BudgetFault } from "./budget.ts";

interface Scaled extends KubeObject {
  readonly spec?: { readonly replicas?: number };
}

export interface Scales {
  readonly synced: readonly Promise<void>[];
  /** How many pods the controllers of these pods want in all; pods without one are left out of it. */
  of(pods: readonly Pod[]): Promise<{
    readonly total: number;
    readonly unmanaged: readonly Pod[];
    readonly fault: BudgetFault | undefined;
  }>;
  /** Called with the namespace in which a number has changed. */
  onChange(listener: (namespace: string | undefined) => void): void;
}

/** How many pods those want who manage pods: built-in kinds by their spec, custom ones by their `scale`. */
export function createScales({ client, informers }: ControllerContext): Scales {
  const deployments = informers.of(resources.Deployment);
  const definitions = informers.of(resources.CustomResourceDefinition);
  const kinds = [resources.ReplicationController, resources.ReplicaSet, resources.StatefulSet].map((resource) =>
    informers.of<Scaled>(resource as Resource<Scaled>),
  );

  const find = <T extends KubeObject>(
    informer: Informer<T>,
    namespace: string,
    { kind, name, uid }: OwnerReference,
  ): T | undefined => {
    const found = kind === informer.resource.kind ? informer.get({ namespace, name }) : undefined;
    return found?.metadata.uid === uid ? found : undefined;
  };

  /** Undefined when the owner is not there. */
  const scaleOf = async (namespace: string, owner: OwnerReference): Promise<Count | BudgetFault | undefined> => {
    for (const informer of kinds) {
      const found = find(informer, namespace, owner);
      if (!found) continue;
      const above = controllerOf(found);
      const deployment = above && find(deployments, namespace, above);
      const counted = deployment ?? found;
      return { uid: counted.metadata.uid ?? "", replicas: counted.spec?.replicas ?? 1 };
    }
    const group = owner.apiVersion.includes("/") ? (owner.apiVersion.split("/")[0] ?? "") : "";
    const definition = definitions.list().find(({ spec }) => spec.group === group && spec.names.kind === owner.kind);
    const resource = definition && customKindOf(definition);
    if (resource) {
      const scale = await unless(client.getScale(resource, { namespace, name: owner.name }), "NotFound");
      if (scale) return { uid: owner.uid, replicas: scale.spec?.replicas ?? 0 };
    }
    if (builtIn.some(({ kind }) => kind === owner.kind)) return undefined;
    const plural = (definition?.spec.names.plural ?? `${owner.kind.toLowerCase()}s`) + (group ? `.${group}` : "");
    return { error: `${plural} does not implement the scale subresource` };
  };

  return {
    synced: [deployments.synced, definitions.synced, ...kinds.map(({ synced }) => synced)],
    async of(pods) {
      const counts = new Map<string, number>();
      const asked = new Set<string>();
      const unmanaged: Pod[] = [];
      let fault: BudgetFault | undefined;
      for (const pod of pods) {
        const owner = controllerOf(pod);
        if (!owner) unmanaged.push(pod);
        if (!owner || asked.has(owner.uid)) continue;
        asked.add(owner.uid);
        const found = await scaleOf(pod.metadata.namespace ?? "", owner);
        if (found && "error" in found) fault ??= found;
        else if (found) counts.set(found.uid, found.replicas);
      }
      return { total: [...counts.values()].reduce((sum, count) => sum + count, 0), unmanaged, fault };
    },
    onChange(listener) {
      for (const informer of [...kinds, deployments as Informer<Scaled>])
        informer.onChange(({ before, after }) => {
          if (before?.spec?.replicas !== after?.spec?.replicas) listener((after ?? before)?.metadata.namespace);
        });
    },
  };
}

interface Count {
  readonly uid: string;
  readonly replicas: number;
}

const builtIn: readonly Resource[] = [resources.ReplicationController, resources.ReplicaSet, resources.StatefulSet];
