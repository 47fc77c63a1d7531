import {
  resources,
  type Container,
  type PersistentVolumeClaim,
  type Pod,
  type Resource,
  type VolumeAttachment,
} from "../../kube/index.ts";
import { keyFor, prefixFor, type Storage } from "../storage/index.ts";

export type NodeObject = "secrets" | "configmaps" | "persistentvolumeclaims" | "serviceaccounts";

/** What the pods of a node have to do with other objects: read from the caches when it is asked, so it is never behind. */
export interface NodeGraph {
  /** True when a pod bound to the node refers to the object. */
  refers(node: string, kind: NodeObject, namespace: string, name: string): boolean;
  /** True when a claim that a pod of the node refers to is bound to the volume. */
  usesVolume(node: string, name: string): boolean;
  attaches(node: string, attachment: string): boolean;
  /** True when the pod is bound to the node. */
  runs(node: string, namespace: string, name: string): boolean;
}

export function createNodeGraph(storage: Pick<Storage, "of">): NodeGraph {
  const all = <T>(resource: Resource, namespace?: string): T[] =>
    storage
      .of(resource)
      .under(prefixFor(resource, namespace))
      .map((entry) => entry.object as unknown as T);
  const podsOf = (node: string, namespace?: string): Pod[] =>
    all<Pod>(resources.Pod, namespace).filter(({ spec }) => spec.nodeName === node);

  return {
    refers: (node, kind, namespace, name) => podsOf(node, namespace).some((pod) => namesIn(pod, kind).has(name)),
    usesVolume: (node, volume) =>
      all<PersistentVolumeClaim>(resources.PersistentVolumeClaim)
        .filter(({ spec }) => spec?.volumeName === volume)
        .some(({ metadata: { namespace = "", name } }) =>
          podsOf(node, namespace).some((pod) => namesIn(pod, "persistentvolumeclaims").has(name)),
        ),
    attaches(node, attachment) {
      const entry = storage
        .of(resources.VolumeAttachment)
        .get(keyFor(resources.VolumeAttachment, { name: attachment }));
      return (entry?.object as VolumeAttachment | undefined)?.spec.nodeName === node;
    },
    runs(node, namespace, name) {
      const entry = storage.of(resources.Pod).get(keyFor(resources.Pod, { namespace, name }));
      return (entry?.object as Pod | undefined)?.spec.nodeName === node;
    },
  };
}

/** Names of the objects of a kind that a pod refers to, all of them in its own namespace. */
export function namesIn({ metadata, spec }: Pod, kind: NodeObject): Set<string> {
  const names = new Set<string | undefined>();
  switch (kind) {
    case "serviceaccounts":
      names.add(spec.serviceAccountName);
      break;
    case "persistentvolumeclaims":
      for (const { name, persistentVolumeClaim, ephemeral } of spec.volumes ?? []) {
        names.add(persistentVolumeClaim?.claimName);
        if (ephemeral) names.add(`${metadata.name}-${name}`);
      }
      break;
    case "secrets":
      for (const { name } of spec.imagePullSecrets ?? []) names.add(name);
      for (const { env = [], envFrom = [] } of containersOf(spec)) {
        for (const { valueFrom } of env) names.add(valueFrom?.secretKeyRef?.name);
        for (const { secretRef } of envFrom) names.add(secretRef?.name);
      }
      for (const { secret, projected } of spec.volumes ?? []) {
        names.add(secret?.secretName);
        for (const source of projected?.sources ?? []) names.add(source.secret?.name);
      }
      break;
    case "configmaps":
      for (const { env = [], envFrom = [] } of containersOf(spec)) {
        for (const { valueFrom } of env) names.add(valueFrom?.configMapKeyRef?.name);
        for (const { configMapRef } of envFrom) names.add(configMapRef?.name);
      }
      for (const { configMap, projected } of spec.volumes ?? []) {
        names.add(configMap?.name);
        for (const source of projected?.sources ?? []) names.add(source.configMap?.name);
      }
  }
  names.delete(undefined);
  names.delete("");
  return names as Set<string>;
}

function containersOf(spec: Pod["spec"]): readonly Pick<Container, "env" | "envFrom">[] {
  return [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])];
}
