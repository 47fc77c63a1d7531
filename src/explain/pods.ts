import type { Event, Pod, Service } from "../kube/index.ts";

/** Why a pod does not get requests, in one line; undefined when it does. The most telling fact comes first. */
export function whyNotReady(pod: Pod, events: readonly Event[]): string | undefined {
  const condition = (type: string) => pod.status?.conditions?.find((c) => c.type === type);
  if (pod.metadata.deletionTimestamp) return "is being deleted";
  if (condition("Ready")?.status === "True") return undefined;
  const scheduled = condition("PodScheduled");
  if (!pod.spec.nodeName) return `is not scheduled${withText(scheduled?.message)}`;
  if (pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed") return `has ended (${pod.status.phase})`;
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  for (const { name, state, lastState } of statuses) {
    const waiting = state?.waiting;
    if (waiting?.reason && waiting.reason !== "ContainerCreating" && waiting.reason !== "PodInitializing") {
      const exit = lastState?.terminated ? `, last exit code ${lastState.terminated.exitCode}` : "";
      return `container ${name} waits: ${waiting.reason}${withText(waiting.message)}${exit}`;
    }
  }
  const unhealthy = newest(events.filter((e) => isAbout(e, pod) && e.reason === "Unhealthy"));
  if (unhealthy?.message) return `is not ready: ${firstLine(unhealthy.message)}`;
  const notReady = statuses.filter((status) => !status.ready).map((status) => status.name);
  return notReady.length > 0 ? `is starting (${notReady.join(", ")})` : "is starting";
}

function isAbout(event: Event, pod: Pod): boolean {
  const { involvedObject: about } = event;
  return about.kind === "Pod" && about.namespace === pod.metadata.namespace && about.name === pod.metadata.name;
}

export function isAboutService({ involvedObject: about }: Event, { metadata }: Service): boolean {
  return about.kind === "Service" && about.namespace === metadata.namespace && about.name === metadata.name;
}

/** The event that was seen last. */
export function newest(events: readonly Event[]): Event | undefined {
  const time = (event: Event) => event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp ?? "";
  return events.toSorted((a, b) => (time(a) < time(b) ? 1 : -1))[0];
}

const firstLine = (text: string) => text.split("\n")[0] ?? "";

const withText = (text: string | undefined) => (text ? `: ${firstLine(text)}` : "");
