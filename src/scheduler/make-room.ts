import { type Client, type EventRecorder, setPodCondition, unless } from "../client/index.ts";
import { keyOf, nameOfKey, type Pod, resources } from "../kube/index.ts";
import type { Clock } from "../system/index.ts";

/** Ends a pod gracefully so that another gets its place, and says so on it: condition DisruptionTarget, event Preempted. */
export async function endVictim(
  victim: Pod,
  preemptor: Pod,
  { client, events, clock }: { readonly client: Client; readonly events: EventRecorder; readonly clock: Clock },
): Promise<void> {
  // It is ending already: there is only its time to wait for.
  if (victim.metadata.deletionTimestamp) return;
  const { uid = "" } = victim.metadata;
  const condition = {
    type: "DisruptionTarget",
    status: "True",
    reason: "PreemptionByScheduler",
    message: `${preemptor.spec.schedulerName ?? "default-scheduler"}: preempting to accommodate a higher priority pod`,
  };
  if (!(await setPodCondition(client, victim, condition, clock.now()))) return;
  const gone = client.delete(resources.Pod, nameOfKey(keyOf(victim)), { preconditions: { uid } });
  await unless(gone, "NotFound", "Conflict");
  const message = `Preempted by pod ${preemptor.metadata.uid} on node ${victim.spec.nodeName}`;
  events.event(victim, "Normal", "Preempted", message);
}

/** Takes back from a pod that room is kept for it. */
export async function dropNomination(pod: Pod, client: Client): Promise<void> {
  const { uid } = pod.metadata;
  const body = { metadata: { uid }, status: { nominatedNodeName: null } };
  const name = nameOfKey(keyOf(pod));
  const dropped = client.patch(resources.Pod, name, { type: "merge", body }, { subresource: "status" });
  await unless(dropped, "NotFound", "Conflict");
}
