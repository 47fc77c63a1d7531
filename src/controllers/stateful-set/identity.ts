import type { Draft, PersistentVolumeClaim, Pod, PodTemplateSpec, StatefulSet } from "../../kube/index.ts";
import { resources } from "../../kube/index.ts";
import { podDraft } from "../pod-draft.ts";
import { revisionLabel } from "../revisions/revisions.ts";

const nameLabel = "statefulset.kubernetes.io/pod-name";
const indexLabel = "apps.kubernetes.io/pod-index";

export const firstOrdinal = ({ spec }: StatefulSet): number => spec.ordinals?.start ?? 0;
export const sizeOf = ({ spec }: StatefulSet): number => spec.replicas ?? 1;

/** The ordinal of a pod of the set; undefined when its name is none that the set gives. */
export function ordinalOf(
  set: StatefulSet,
  { metadata: { name } }: { metadata: { name: string } },
): number | undefined {
  const match = /^(.*)-(\d+)$/.exec(name);
  return match?.[1] === set.metadata.name ? Number(match[2]) : undefined;
}

export const podName = (set: StatefulSet, ordinal: number): string => `${set.metadata.name}-${ordinal}`;

/** The claims of a pod, by the name of the volume in it. */
export function claimsOf(set: StatefulSet, ordinal: number): Map<string, Draft<PersistentVolumeClaim>> {
  const claims = new Map<string, Draft<PersistentVolumeClaim>>();
  for (const template of set.spec.volumeClaimTemplates ?? []) {
    const { name, labels, annotations } = template.metadata;
    claims.set(name, {
      metadata: {
        name: `${name}-${podName(set, ordinal)}`,
        namespace: set.metadata.namespace ?? "",
        labels: { ...labels, ...set.spec.selector.matchLabels },
        ...(annotations ? { annotations } : {}),
      },
      spec: template.spec,
    });
  }
  return claims;
}

/** What of a pod makes it the one that it is: name, labels, host name, volumes of its claims. */
export function identityOf(set: StatefulSet, ordinal: number, labels: Record<string, string> | undefined) {
  const name = podName(set, ordinal);
  return {
    labels: { ...labels, [nameLabel]: name, [indexLabel]: String(ordinal) },
    volumes: [...claimsOf(set, ordinal)].map(([volume, { metadata }]) => ({
      name: volume,
      persistentVolumeClaim: { claimName: metadata.name ?? "" },
    })),
  };
}

/** The pod of an ordinal, of a revision. */
export function statefulPod(
  set: StatefulSet,
  ordinal: number,
  { template, revision }: { readonly template: PodTemplateSpec; readonly revision: string },
): Draft<Pod> {
  const { metadata, spec } = podDraft(set, resources.StatefulSet, template);
  const { generateName: _generated, ...rest } = metadata;
  const { labels, volumes } = identityOf(set, ordinal, metadata.labels);
  const names = new Set(volumes.map(({ name }) => name));
  const all = [...volumes, ...(spec.volumes ?? []).filter(({ name }) => !names.has(name))];
  const name = podName(set, ordinal);
  return {
    metadata: { ...rest, name, labels: { ...labels, [revisionLabel]: revision } },
    spec: {
      ...spec,
      hostname: name,
      ...(set.spec.serviceName ? { subdomain: set.spec.serviceName } : {}),
      ...(all.length > 0 ? { volumes: all } : {}),
    },
  };
}
