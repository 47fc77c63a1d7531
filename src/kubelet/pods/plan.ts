import type { Container, Pod } from "../../kube/index.ts";
import type { ContainerRecord } from "../runtime/runtime.ts";
import { isOutdated, isSidecar, isTerminal, newest, type PodView, restarts, running } from "./pod-view.ts";

/** What is to be done for a pod that is not being deleted. Steps are done in the order of the fields. */
export interface PodPlan {
  readonly stop: readonly { readonly id: string; readonly name: string; readonly why: string }[];
  /** Sandboxes and containers that nothing needs any more. */
  readonly removeSandboxes: readonly string[];
  readonly removeContainers: readonly string[];
  /** The pod has ended: its network goes back, its logs stay. */
  readonly stopSandbox: string | undefined;
  /** Attempt number of the sandbox to make; what starts, starts in it. */
  readonly createSandbox: number | undefined;
  readonly start: readonly Start[];
  /** Containers that wait for their back-off, with the milliseconds left. */
  readonly waiting: ReadonlyMap<string, number>;
}

export interface Start {
  readonly container: Container;
  readonly attempt: number;
  /** The end that it follows; absent for a first start. */
  readonly after?: ContainerRecord;
}

export interface PlanFacts {
  /** Milliseconds until a container that ended may start again. */
  readonly backOff: (name: string, finishedAt: number) => number;
  /** Whether a running container's start-up probe (if any) has succeeded. */
  readonly started: (container: ContainerRecord) => boolean;
  /** Whether a running container's postStart is still at work: nothing else of the pod starts until it is done. */
  readonly hooked: (container: ContainerRecord) => boolean;
  /** Why a running container must be ended (a failed probe); undefined: it may go on. */
  readonly unhealthy: (container: ContainerRecord) => string | undefined;
  /** The pod ran longer than activeDeadlineSeconds. */
  readonly overdue: boolean;
}

const nothing: PodPlan = {
  stop: [],
  removeSandboxes: [],
  removeContainers: [],
  stopSandbox: undefined,
  createSandbox: undefined,
  start: [],
  waiting: new Map(),
};

/** Decides the next steps from what should be and what is. */
export function planPod(pod: Pod, view: PodView, facts: PlanFacts): PodPlan {
  const garbage = garbageOf(view);
  const alive = running(view);
  if (isTerminal(pod) || facts.overdue || hasEnded(pod, view)) {
    const why = facts.overdue ? "the pod was active longer than its deadline" : "the pod has ended";
    const stop = alive.map(({ id, name }) => ({ id, name, why }));
    const idle = stop.length === 0 && view.sandbox?.ready ? view.sandbox.id : undefined;
    return { ...nothing, ...garbage, stop, stopSandbox: idle };
  }
  if (!view.sandbox?.ready) {
    const stop = alive.map(({ id, name }) => ({ id, name, why: "its sandbox is gone" }));
    if (stop.length > 0) return { ...nothing, stop };
    const attempt = view.sandbox ? view.sandbox.attempt + 1 : 0;
    // All containers of the old sandbox are gone with it, init containers too.
    return { ...nothing, ...garbage, createSandbox: attempt, ...startsOf(pod, view, facts, undefined) };
  }
  const going = [...(pod.spec.initContainers ?? []).filter(isSidecar), ...pod.spec.containers];
  const stop = alive.flatMap((record) => {
    const outdated = going.some((container) => container.name === record.name && isOutdated(container, record));
    const why = facts.unhealthy(record) ?? (outdated ? "its definition changed, it will be restarted" : undefined);
    return why === undefined ? [] : [{ id: record.id, name: record.name, why }];
  });
  return { ...nothing, ...garbage, stop, ...startsOf(pod, view, facts, view.sandbox.id) };
}

/** Init containers one after another, then all main ones. `sandboxId` undefined: a new sandbox, nothing has run in it. */
function startsOf(
  pod: Pod,
  view: PodView,
  facts: PlanFacts,
  sandboxId: string | undefined,
): Pick<PodPlan, "start" | "waiting"> {
  const start: Start[] = [];
  const waiting = new Map<string, number>();
  if (running(view).some(facts.hooked)) return { start, waiting };
  const consider = (container: Container, kind: "init" | "main"): ContainerRecord | undefined => {
    const last = newest(view, container.name);
    const current = last?.sandboxId === sandboxId ? last : undefined;
    if (current && current.state === "running") return current;
    if (current?.state === "exited" && !restarts(pod, container, current, kind)) return current;
    const finishedAt = last && isOutdated(container, last) ? undefined : last?.finishedAt;
    const left = finishedAt === undefined ? 0 : facts.backOff(container.name, finishedAt);
    if (left > 0) waiting.set(container.name, left);
    else start.push({ container, attempt: last ? last.attempt + 1 : 0, ...(last ? { after: last } : {}) });
    return undefined;
  };

  // Ephemeral containers start once, whatever the others do, and never again (KEP-277).
  if (sandboxId !== undefined) {
    for (const container of pod.spec.ephemeralContainers ?? []) {
      if (!newest(view, container.name)) start.push({ container, attempt: 0 });
    }
  }
  const mains = pod.spec.containers;
  // Once a main container has run in this sandbox, the ordinary init containers are over, even if forgotten.
  const mainsBegan = mains.some(({ name }) => {
    const last = newest(view, name);
    return last !== undefined && last.sandboxId === sandboxId;
  });
  for (const container of pod.spec.initContainers ?? []) {
    if (mainsBegan && !isSidecar(container)) continue;
    const current = consider(container, "init");
    if (mainsBegan) continue;
    if (!current) return { start, waiting };
    if (isSidecar(container) ? !facts.started(current) : !(current.state === "exited" && current.exitCode === 0)) {
      return { start, waiting };
    }
  }
  for (const container of mains) consider(container, "main");
  return { start, waiting };
}

/** True when no container of the pod is to run again. */
export function hasEnded(pod: Pod, view: PodView): boolean {
  const over = (container: Container, kind: "init" | "main"): boolean => {
    const last = newest(view, container.name);
    return last?.state === "exited" && !restarts(pod, container, last, kind);
  };
  const initFailed = (pod.spec.initContainers ?? []).some(
    (container) => !isSidecar(container) && over(container, "init") && newest(view, container.name)?.exitCode !== 0,
  );
  return initFailed || pod.spec.containers.every((container) => over(container, "main"));
}

/** Of each container the newest two are kept: the present one, and the one before for `lastState` and its log. */
function garbageOf(view: PodView): Pick<PodPlan, "removeContainers" | "removeSandboxes"> {
  const all = [...view.containers.values()];
  const ended = all.flatMap((attempts) => attempts.slice(2)).filter((container) => container.state !== "running");
  const old = [...ended, ...view.leftovers];
  const kept = new Set(all.flatMap((attempts) => attempts.slice(0, 2)).map((container) => container.sandboxId));
  const sandboxes = view.sandboxes.slice(1).filter((sandbox) => !kept.has(sandbox.id));
  return { removeContainers: old.map(({ id }) => id), removeSandboxes: sandboxes.map(({ id }) => id) };
}
