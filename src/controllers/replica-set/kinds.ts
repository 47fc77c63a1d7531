import type { Client, Informer, Informers } from "../../client/index.ts";
import {
  type KubeObject,
  type ReplicaSet,
  type ReplicaSetStatus,
  type ReplicationController,
  type Resource,
  resources,
} from "../../kube/index.ts";
import { controllerIndex } from "../owners.ts";
import type { Owners } from "../pod-owners.ts";

/** What tells ReplicationControllers from ReplicaSets: both keep a number of pods, by the same rules. */
export interface ReplicaKind {
  readonly resource: Resource;
  /** As in the name of the controller. */
  readonly name: string;
  /** The part of a status that the kind has. */
  statusOf(status: ReplicaSetStatus): Partial<ReplicaSetStatus>;
  write(client: Client, set: ReplicaSet, status: ReplicaSetStatus): Promise<KubeObject>;
}

export const replicaSets: ReplicaKind = {
  resource: resources.ReplicaSet,
  name: "replicaset",
  statusOf: (status) => status,
  write: (client, set, status) => client.updateStatus(resources.ReplicaSet, { ...set, status }),
};

/** What is kept: ReplicaSets, or what is seen as such. */
export type ReplicaSets = Owners<ReplicaSet> & Pick<Informer<ReplicaSet>, "by" | "synced" | "onChange">;

/** A ReplicationController as a ReplicaSet. */
function viewOf({ spec, ...rest }: ReplicationController): ReplicaSet {
  const { selector = {}, ...others } = spec ?? {};
  return { ...rest, spec: { ...others, selector: { matchLabels: selector } } };
}

function statusOf(status: ReplicaSetStatus): ReplicaSetStatus {
  const known = { ...status };
  delete known.terminatingReplicas;
  return known;
}

export const replicationControllers: ReplicaKind = {
  resource: resources.ReplicationController,
  name: "replication",
  statusOf,
  write(client, { spec: { selector, ...others }, ...rest }, status) {
    const { conditions = [], ...counts } = statusOf(status);
    return client.updateStatus(resources.ReplicationController, {
      ...rest,
      spec: { ...others, selector: selector.matchLabels ?? {} },
      status: { ...counts, ...(conditions.length > 0 ? { conditions } : {}) },
    });
  },
};

/** The ReplicationControllers of a cluster, each seen as a ReplicaSet. */
export function viewAsSets(informers: Informers): ReplicaSets {
  const informer = informers.of(resources.ReplicationController, controllerIndex);
  return {
    resource: informer.resource,
    synced: informer.synced,
    get(name) {
      const found = informer.get(name);
      return found && viewOf(found);
    },
    list: (namespace) => informer.list(namespace).map(viewOf),
    by: (index, value) => informer.by(index, value).map(viewOf),
    onChange(listener) {
      informer.onChange(({ before, after }) =>
        listener({ ...(before ? { before: viewOf(before) } : {}), ...(after ? { after: viewOf(after) } : {}) }),
      );
    },
  };
}
