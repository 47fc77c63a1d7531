import {
  applyJsonPatch,
  applyMergePatch,
  applyStrategicPatch,
  cloneJson,
  definitionOf,
  type KubeObject,
  type LabelSelector,
  meetsRequirements,
  parseFieldSelector,
  parseLabelSelector,
  type Resource,
  type Scale,
  statusError,
} from "../kube/index.ts";
import type { ListQuery, Patch } from "./client.ts";

// What the API server makes of one object, as far as the fake goes.

/** What a write to `subresource` (or to the object itself) leaves of `old` and takes of `wanted`. */
export function merged(
  resource: Resource,
  old: KubeObject,
  wanted: KubeObject,
  subresource: string | undefined,
): KubeObject {
  const next = cloneJson(subresource ? old : wanted) as KubeObject & Record<string, unknown>;
  if (subresource === "status") {
    next["status"] = cloneJson((wanted as { status?: object }).status);
  } else if (subresource === "finalize" || subresource === "scale") {
    next["spec"] = cloneJson((wanted as { spec?: object }).spec);
  } else if (resource.subresources.includes("status") && (old as { status?: object }).status !== undefined) {
    next["status"] = cloneJson((old as { status?: object }).status);
  }
  const { uid, creationTimestamp, generation, deletionTimestamp, deletionGracePeriodSeconds } = old.metadata;
  Object.assign(next.metadata, { uid, creationTimestamp, generation, resourceVersion: old.metadata.resourceVersion });
  if (deletionTimestamp) Object.assign(next.metadata, { deletionTimestamp, deletionGracePeriodSeconds });
  if (JSON.stringify(next["spec"]) !== JSON.stringify((old as { spec?: object }).spec)) {
    next.metadata.generation = (generation ?? 0) + 1;
  }
  return next;
}

/** True when nothing keeps an object that is to be deleted. */
export function isDone(resource: Resource, object: KubeObject): boolean {
  if ((object.metadata.finalizers ?? []).length > 0) return false;
  if (resource.kind === "Pod" && object.metadata.deletionTimestamp) {
    return (object.metadata.deletionGracePeriodSeconds ?? 0) === 0;
  }
  const spec = (object as { spec?: { finalizers?: string[] } }).spec;
  return resource.kind !== "Namespace" || (spec?.finalizers ?? []).length === 0;
}

/** Seconds that a pod has to end; 0 when nothing of it runs. */
export function podGrace(object: KubeObject, asked: number | undefined): number {
  const { spec, status } = object as {
    spec?: { nodeName?: string; terminationGracePeriodSeconds?: number };
    status?: { phase?: string };
  };
  if (!spec?.nodeName || status?.phase === "Succeeded" || status?.phase === "Failed") return 0;
  return asked ?? spec.terminationGracePeriodSeconds ?? 30;
}

/** The object with a patch applied. Throws what the API server answers to a wrong patch. */
export function patched(resource: Resource, old: KubeObject, patch: Patch): KubeObject {
  if (patch.type === "json") return applyJsonPatch(old, patch.body) as KubeObject;
  if (patch.type === "merge") return applyMergePatch(old, patch.body) as KubeObject;
  if (!definitionOf(resource))
    throw statusError(
      "UnsupportedMediaType",
      `${resource.kind} is a custom resource: no strategic merge patch is taken`,
    );
  return applyStrategicPatch(resource, old, patch.body) as unknown as KubeObject;
}

/** True for the objects that a list or watch with these selectors shows. */
export function matcherOf({ namespace, labelSelector, fieldSelector }: ListQuery): (object: KubeObject) => boolean {
  const labels = labelSelector ? parseLabelSelector(labelSelector) : [];
  const fields = fieldSelector ? parseFieldSelector(fieldSelector) : [];
  const fieldOf = (object: KubeObject, path: string): unknown =>
    path.split(".").reduce<unknown>((at, step) => (at as Record<string, unknown> | undefined)?.[step], object);
  return (object) =>
    (!namespace || object.metadata.namespace === namespace) &&
    meetsRequirements(labels, object.metadata.labels) &&
    fields.every(({ field, operator, value }) => (textOf(fieldOf(object, field)) === value) === (operator === "="));
}

const textOf = (value: unknown) =>
  typeof value === "string" ? value : JSON.stringify(value ?? "").replaceAll('"', "");

/** The `scale` of an object that has `spec.replicas`. */
export function scaleOf(object: KubeObject): Scale {
  const { spec, status } = object as {
    spec?: { replicas?: number; selector?: LabelSelector };
    status?: { replicas?: number };
  };
  const labels = Object.entries(spec?.selector?.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  return {
    apiVersion: "autoscaling/v1",
    kind: "Scale",
    metadata: object.metadata,
    spec: { replicas: spec?.replicas ?? 0 },
    status: { replicas: status?.replicas ?? 0, ...(labels.length > 0 ? { selector: labels.join(",") } : {}) },
  };
}
