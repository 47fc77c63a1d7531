import type { Client } from "./client.ts";
import { unless } from "./outcomes.ts";
import {
  formatTime,
  keyOf,
  nameOfKey,
  type Pod,
  type PodCondition,
  type PodStatus,
  resources,
  setCondition,
} from "../kube/index.ts";

/**
 * Sets a condition of a pod, and `more` of its status, as of `now` (milliseconds). Undefined when the pod is gone;
 * throws StatusError Conflict when it has changed since it was cached.
 */
export function setPodCondition(
  client: Client,
  pod: Pod,
  condition: Omit<PodCondition, "lastTransitionTime">,
  now: number,
  more: Partial<PodStatus> = {},
): Promise<Pod | undefined> {
  const { uid, resourceVersion } = pod.metadata;
  const conditions = setCondition<PodCondition>(pod.status?.conditions, condition, formatTime(now));
  const body = { metadata: { uid, resourceVersion }, status: { ...more, conditions } };
  const name = nameOfKey(keyOf(pod));
  return unless(client.patch(resources.Pod, name, { type: "merge", body }, { subresource: "status" }), "NotFound");
}
