import type { Node, Pod } from "../kube/index.ts";
import type { NodeInfo } from "./node-info.ts";
import { add, allocatableOf, type Amounts, requestsOf } from "./resources.ts";

/** All nodes with their pods, kept up to date at the cost of what changes. */
export interface ClusterState {
  setNode(node: Node): void;
  removeNode(name: string): void;
  /** Counts the pod where its spec says. A pod that has come to its end, or has no node, counts nowhere. */
  setPod(pod: Pod): void;
  removePod(uid: string): void;
  /** Counts a pod on a node before the API shows it there. What `setPod` says of its spec later wins. */
  assume(pod: Pod, nodeName: string): void;
  forget(uid: string): void;
  /** Nodes in the order of their names. It shares with the state: use it before the next change. */
  nodes(): readonly NodeInfo[];
}

interface Entry {
  node: Node | undefined;
  allocatable: Amounts;
  readonly pods: Map<string, Pod>;
  readonly requested: Map<string, number>;
}

export function createClusterState(): ClusterState {
  const entries = new Map<string, Entry>();
  const places = new Map<string, string>();
  const assumed = new Set<string>();
  let listed: readonly NodeInfo[] | undefined;

  const entryOf = (name: string): Entry => {
    let entry = entries.get(name);
    if (!entry)
      entries.set(name, (entry = { node: undefined, allocatable: new Map(), pods: new Map(), requested: new Map() }));
    return entry;
  };

  const take = (uid: string): void => {
    const name = places.get(uid);
    const entry = name === undefined ? undefined : entries.get(name);
    const pod = entry?.pods.get(uid);
    places.delete(uid);
    if (!entry || !pod || name === undefined) return;
    entry.pods.delete(uid);
    add(entry.requested, requestsOf(pod), -1);
    if (!entry.node && entry.pods.size === 0) entries.delete(name);
  };

  const place = (pod: Pod, nodeName: string): void => {
    const uid = pod.metadata.uid ?? "";
    take(uid);
    const entry = entryOf(nodeName);
    entry.pods.set(uid, pod);
    add(entry.requested, requestsOf(pod));
    places.set(uid, nodeName);
  };

  const removePod = (uid: string): void => {
    assumed.delete(uid);
    take(uid);
  };

  return {
    removePod,
    setNode(node) {
      const entry = entryOf(node.metadata.name);
      entry.node = node;
      entry.allocatable = allocatableOf(node);
      listed = undefined;
    },
    removeNode(name) {
      const entry = entries.get(name);
      if (!entry) return;
      entry.node = undefined;
      if (entry.pods.size === 0) entries.delete(name);
      listed = undefined;
    },
    setPod(pod) {
      const uid = pod.metadata.uid ?? "";
      const { nodeName } = pod.spec;
      const ended = pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
      if (ended) removePod(uid);
      else if (nodeName) {
        assumed.delete(uid);
        place(pod, nodeName);
      } else if (!assumed.has(uid)) take(uid);
    },
    assume(pod, nodeName) {
      place(pod, nodeName);
      assumed.add(pod.metadata.uid ?? "");
    },
    forget(uid) {
      if (assumed.has(uid)) removePod(uid);
    },
    nodes() {
      listed ??= [...entries.values()]
        .filter((entry): entry is Entry & { node: Node } => entry.node !== undefined)
        .sort((a, b) => (a.node.metadata.name < b.node.metadata.name ? -1 : 1));
      return listed;
    },
  };
}
