import type { Container, Pod } from "../../kube/index.ts";
import type { ContainerRecord, RuntimeState, Sandbox } from "../runtime/runtime.ts";

/** What the runtime has of one pod, in the order decisions need it. */
export interface PodView {
  /** The newest one. */
  readonly sandbox: Sandbox | undefined;
  readonly sandboxes: readonly Sandbox[];
  /** By container name, newest attempt first; each of them was started. */
  readonly containers: ReadonlyMap<string, readonly ContainerRecord[]>;
  /** Containers that were prepared but never started: the kubelet died in between. */
  readonly leftovers: readonly ContainerRecord[];
}

export function viewOf(state: RuntimeState): PodView {
  const sandboxes = [...state.sandboxes].sort((a, b) => b.attempt - a.attempt || b.createdAt - a.createdAt);
  const containers = new Map<string, ContainerRecord[]>();
  const begun = state.containers.filter((container) => container.state !== "created");
  for (const container of begun.sort((a, b) => b.attempt - a.attempt || b.createdAt - a.createdAt)) {
    containers.set(container.name, [...(containers.get(container.name) ?? []), container]);
  }
  const leftovers = state.containers.filter((container) => container.state === "created");
  return { sandbox: sandboxes[0], sandboxes, containers, leftovers };
}

export function newest(view: PodView, name: string): ContainerRecord | undefined {
  return view.containers.get(name)?.[0];
}

export function running(view: PodView): ContainerRecord[] {
  return [...view.containers.values()].flat().filter((container) => container.state === "running");
}

/** An init container that goes on running beside the main ones (KEP-753). */
export function isSidecar(container: Container): boolean {
  return container.restartPolicy === "Always";
}

/** True when a container runs, or ran, another image than its pod asks for now. */
export function isOutdated(container: Container, { image }: ContainerRecord): boolean {
  return (container.image ?? "") !== image;
}

/** Whether a container that has ended is to run again: one that goes on is also replaced, whatever the policy, when its image changes. */
export function restarts(pod: Pod, container: Container, record: ContainerRecord, kind: "init" | "main"): boolean {
  if (kind === "init" && isSidecar(container)) return true;
  if (kind === "main" && isOutdated(container, record)) return true;
  const policy = pod.spec.restartPolicy ?? "Always";
  if (policy === "Never") return false;
  return (record.exitCode ?? 0) !== 0 || (kind === "main" && policy === "Always");
}

/** True when the pod has come to its end and nothing of it may start again. */
export function isTerminal(pod: Pod): boolean {
  return pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
}
