import type { Container, ContainerState, ContainerStatus, ContainerStateTerminated } from "../../kube/index.ts";
import type { ContainerRecord } from "../runtime/runtime.ts";

/** Why a container waits, as `state.waiting` says it. */
export interface WaitingReason {
  readonly reason: string;
  readonly message?: string;
}

export interface ContainerFacts {
  /** Newest attempt first. */
  readonly attempts: readonly ContainerRecord[];
  readonly waiting: WaitingReason | undefined;
  /** Without an attempt and without a reason: what it waits for. */
  readonly notYet: "ContainerCreating" | "PodInitializing";
  readonly started: boolean;
  readonly ready: boolean;
  /** Scheme of container ids, for example `process`. */
  readonly runtime: string;
}

/** One entry of status.containerStatuses. */
export function containerStatus(container: Container, facts: ContainerFacts): ContainerStatus {
  const { runtime, waiting } = facts;
  const [current, previous] = facts.attempts;
  const base = { name: container.name, image: container.image ?? "" };
  if (!current) {
    return {
      ...base,
      state: { waiting: waiting ? { ...waiting } : { reason: facts.notYet } },
      lastState: {},
      ready: false,
      restartCount: 0,
      imageID: "",
      started: false,
    };
  }
  const isWaiting = waiting !== undefined && current.state !== "running";
  const state: ContainerState = isWaiting ? { waiting: { ...waiting } } : stateOf(current, facts);
  const last = isWaiting && current.state === "exited" ? current : previous?.state === "exited" ? previous : undefined;
  return {
    ...base,
    state,
    lastState: last ? { terminated: terminated(last, runtime) } : {},
    ready: state.running !== undefined && facts.ready,
    restartCount: current.attempt,
    imageID: current.imageId,
    containerID: `${runtime}://${current.id}`,
    started: state.running !== undefined && facts.started,
    ...given(container),
  };
}

/** What a container was given (KEP-1287): all that it asks for, since nothing is held back here. */
function given({ resources }: Container): Pick<ContainerStatus, "resources" | "allocatedResources"> {
  if (!resources || Object.keys(resources).length === 0) return {};
  return { resources, ...(resources.requests ? { allocatedResources: resources.requests } : {}) };
}

function stateOf(current: ContainerRecord, facts: ContainerFacts): ContainerState {
  if (current.state === "running") return { running: { startedAt: timeOf(current.startedAt ?? current.createdAt) } };
  if (current.state === "exited") return { terminated: terminated(current, facts.runtime) };
  return { waiting: { reason: "ContainerCreating" } };
}

function terminated(record: ContainerRecord, runtime: string): ContainerStateTerminated {
  const exitCode = record.exitCode ?? 0;
  return {
    exitCode,
    ...(record.signal === undefined ? {} : { signal: record.signal }),
    reason: record.reason ?? (exitCode === 0 ? "Completed" : "Error"),
    ...(record.message === undefined ? {} : { message: record.message }),
    startedAt: timeOf(record.startedAt ?? record.createdAt),
    finishedAt: timeOf(record.finishedAt ?? record.createdAt),
    containerID: `${runtime}://${record.id}`,
  };
}

/** RFC 3339 in UTC with whole seconds, as metav1.Time. */
export function timeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
