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
  /** Keeps room for a pod on a node until it is counted somewhere; undefined: no longer. What its status says of that later wins. */
  nominate(pod: Pod, nodeName: string | undefined): void;
  /** Nodes in the order of their names. It shares with the state: use it before the next change. */
  nodes(): readonly NodeInfo[];
}

interface Entry {
  node: Node | undefined;
  allocatable: Amounts;
  readonly pods: Map<string, Pod>;
  readonly nominated: Map<string, Pod>;
  readonly requested: Map<string, number>;
}

export function createClusterState(): ClusterState {
  const entries = new Map<string, Entry>();
  const places = new Map<string, string>();
  const assumed = new Set<string>();
  const nominations = new Map<string, string>();
  /** Pods that the API does not show as nominated yet. */
  const promised = new Set<string>();
  let listed: readonly NodeInfo[] | undefined;

  const entryOf = (name: string): Entry => {
    let entry = entries.get(name);
    if (!entry) {
      const [pods, nominated, requested] = [new Map(), new Map(), new Map()];
      entries.set(name, (entry = { node: undefined, allocatable: new Map(), pods, nominated, requested }));
    }
    return entry;
  };
  const dropIfUnused = (name: string, { node, pods, nominated }: Entry): void => {
    if (!node && pods.size === 0 && nominated.size === 0) entries.delete(name);
  };

  const take = (uid: string): void => {
    const name = places.get(uid);
    const entry = name === undefined ? undefined : entries.get(name);
    const pod = entry?.pods.get(uid);
    places.delete(uid);
    if (!entry || !pod || name === undefined) return;
    entry.pods.delete(uid);
    add(entry.requested, requestsOf(pod), -1);
    dropIfUnused(name, entry);
  };

  const keepRoom = (pod: Pod, nodeName: string | undefined): void => {
    const uid = pod.metadata.uid ?? "";
    const before = nominations.get(uid);
    const entry = before === undefined ? undefined : entries.get(before);
    if (before !== undefined && before !== nodeName && entry) {
      entry.nominated.delete(uid);
      dropIfUnused(before, entry);
    }
    nominations.delete(uid);
    if (nodeName === undefined) return;
    nominations.set(uid, nodeName);
    entryOf(nodeName).nominated.set(uid, pod);
  };

  const place = (pod: Pod, nodeName: string): void => {
    const uid = pod.metadata.uid ?? "";
    take(uid);
    promised.delete(uid);
    keepRoom(pod, undefined);
    const entry = entryOf(nodeName);
    entry.pods.set(uid, pod);
    add(entry.requested, requestsOf(pod));
    places.set(uid, nodeName);
  };

  const removePod = (uid: string): void => {
    assumed.delete(uid);
    take(uid);
    promised.delete(uid);
    const pod = entries.get(nominations.get(uid) ?? "")?.nominated.get(uid);
    if (pod) keepRoom(pod, undefined);
  };

  return {
    removePod,
    nominate(pod, nodeName) {
      const uid = pod.metadata.uid ?? "";
      if (nodeName === undefined) promised.delete(uid);
      else promised.add(uid);
      keepRoom(pod, nodeName);
    },
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
      dropIfUnused(name, entry);
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
      } else if (!assumed.has(uid)) {
        take(uid);
        const shown = pod.status?.nominatedNodeName || undefined;
        if (shown !== undefined) promised.delete(uid);
        keepRoom(pod, shown ?? (promised.has(uid) ? nominations.get(uid) : undefined));
      }
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
