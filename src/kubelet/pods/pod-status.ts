import {
  type Container,
  type ContainerStatus,
  type Pod,
  type PodCondition,
  type PodStatus,
  qosClassOf,
} from "../../kube/index.ts";
import type { ContainerRecord } from "../runtime/runtime.ts";
import { containerStatus, timeOf, type WaitingReason } from "./container-status.ts";
import { isSidecar, type PodView } from "./pod-view.ts";

export interface StatusFacts {
  readonly now: number;
  readonly hostAddresses: readonly string[];
  /** Scheme of container ids. */
  readonly runtime: string;
  readonly waiting: ReadonlyMap<string, WaitingReason>;
  readonly started: (container: ContainerRecord) => boolean;
  readonly ready: (container: ContainerRecord) => boolean;
  /** The pod is stopped for good, with this reason. */
  readonly failure: { readonly reason: string; readonly message: string } | undefined;
}

/** What the kubelet says of a pod. Conditions that others wrote are kept as `pod` has them. */
export function podStatus(pod: Pod, view: PodView, facts: StatusFacts): PodStatus {
  const old = pod.status;
  const inits = pod.spec.initContainers ?? [];
  const own = pod.spec.hostNetwork ? facts.hostAddresses : (view.sandbox?.addresses ?? []);
  const statusOf = (container: Container, notYet: "ContainerCreating" | "PodInitializing"): ContainerStatus => {
    const attempts = view.containers.get(container.name) ?? [];
    const [current] = attempts;
    const status = containerStatus(container, {
      attempts,
      waiting: facts.waiting.get(container.name),
      notYet,
      started: current !== undefined && facts.started(current),
      ready: current !== undefined && facts.ready(current),
      runtime: facts.runtime,
    });
    // A record the runtime lost: what the API has is all there is to know.
    const known = [
      ...(old?.initContainerStatuses ?? []),
      ...(old?.containerStatuses ?? []),
      ...(old?.ephemeralContainerStatuses ?? []),
    ];
    const before = known.find((status) => status.name === container.name);
    return attempts.length === 0 && before?.state?.terminated ? before : status;
  };
  const initStatuses = inits.map((container) => {
    const status = statusOf(container, "PodInitializing");
    // An ordinary init container is "ready" when it has done its work.
    return isSidecar(container) ? status : { ...status, ready: status.state?.terminated?.exitCode === 0 };
  });
  const initialized = inits.every((container, i) => {
    const status = initStatuses[i];
    return isSidecar(container) ? status?.started === true : status?.ready === true;
  });
  const statuses = pod.spec.containers.map((container) =>
    statusOf(container, initialized ? "ContainerCreating" : "PodInitializing"),
  );
  const ephemeralStatuses = (pod.spec.ephemeralContainers ?? []).map((container) => ({
    ...statusOf(container as Container, "ContainerCreating"),
    ready: false,
  }));
  const phase = phaseOf(pod, initStatuses, statuses, initialized, facts);
  const started = statuses.some((status) => status.state?.running ?? status.state?.terminated);
  const podIPs = own.length === 0 ? old?.podIPs : own.map((ip) => ({ ip }));
  const podIP = own[0] ?? old?.podIP;
  return {
    observedGeneration: pod.metadata.generation ?? 1,
    phase,
    conditions: conditionsOf(pod, {
      phase,
      statuses,
      inits: initStatuses,
      initialized: initialized || started,
      network: view.sandbox?.ready === true,
      now: facts.now,
    }),
    ...(facts.failure ?? (old?.reason ? { reason: old.reason, ...(old.message ? { message: old.message } : {}) } : {})),
    hostIP: facts.hostAddresses[0] ?? "",
    hostIPs: facts.hostAddresses.map((ip) => ({ ip })),
    ...(podIP === undefined ? {} : { podIP }),
    ...(podIPs === undefined ? {} : { podIPs }),
    startTime: old?.startTime ?? timeOf(facts.now),
    ...(inits.length > 0 ? { initContainerStatuses: initStatuses } : {}),
    containerStatuses: statuses,
    ...(ephemeralStatuses.length > 0 ? { ephemeralContainerStatuses: ephemeralStatuses } : {}),
    qosClass: old?.qosClass ?? qosClassOf(pod.spec),
  };
}

/** As the pod lifecycle has it: a phase once terminal stays. */
function phaseOf(
  pod: Pod,
  inits: readonly ContainerStatus[],
  statuses: readonly ContainerStatus[],
  initialized: boolean,
  facts: StatusFacts,
): string {
  const old = pod.status?.phase;
  if (old === "Succeeded" || old === "Failed") return old;
  if (facts.failure) return "Failed";
  const policy = pod.spec.restartPolicy ?? "Always";
  const ends = statuses.map((status) => status.state?.terminated ?? status.lastState?.terminated);
  const begun = statuses.map((status, i) => status.state?.running !== undefined || ends[i] !== undefined);
  if (!initialized && !begun.some(Boolean)) {
    const failed = inits.some((status) => (status.state?.terminated?.exitCode ?? 0) !== 0);
    return failed && policy === "Never" ? "Failed" : "Pending";
  }
  if (!begun.every(Boolean)) return "Pending";
  if (statuses.some((status) => status.state?.running !== undefined) || policy === "Always") {
    // A pod that is being deleted starts nothing again, whatever its policy.
    const over = pod.metadata.deletionTimestamp !== undefined && statuses.every((s) => s.state?.terminated);
    if (!over) return "Running";
  }
  if (ends.every((end) => end?.exitCode === 0)) return "Succeeded";
  if (policy === "Never" || pod.metadata.deletionTimestamp !== undefined) return "Failed";
  return "Running";
}

interface ConditionFacts {
  readonly phase: string;
  readonly statuses: readonly ContainerStatus[];
  readonly inits: readonly ContainerStatus[];
  readonly initialized: boolean;
  readonly network: boolean;
  readonly now: number;
}

type Verdict = { readonly status: "True" | "False"; readonly reason?: string; readonly message?: string };

const yes: Verdict = { status: "True" };

function conditionsOf(pod: Pod, facts: ConditionFacts): PodCondition[] {
  const old = pod.status?.conditions ?? [];
  const sidecars = (pod.spec.initContainers ?? []).filter(isSidecar).map(({ name }) => name);
  const containers = containersReady(facts, sidecars);
  const own = new Map<string, Verdict>([
    ["PodReadyToStartContainers", { status: facts.network ? "True" : "False" }],
    ["Initialized", initializedVerdict(facts)],
    ["Ready", containers.status === "True" ? gatesVerdict(pod) : containers],
    ["ContainersReady", containers],
    ["PodScheduled", yes],
  ]);
  const generation = pod.metadata.generation ?? 1;
  const conditions = [...own].map(([type, verdict]): PodCondition => {
    const before = old.find((condition) => condition.type === type);
    const same = before?.status === verdict.status && before.lastTransitionTime !== undefined;
    return {
      type,
      observedGeneration: generation,
      lastTransitionTime: same ? (before.lastTransitionTime ?? "") : timeOf(facts.now),
      ...verdict,
    };
  });
  return [...conditions, ...old.filter((condition) => !own.has(condition.type))];
}

function initializedVerdict(facts: ConditionFacts): Verdict {
  if (facts.phase === "Succeeded") return { ...yes, reason: "PodCompleted" };
  if (facts.initialized) return yes;
  const missing = facts.inits.filter((status) => !status.ready).map((status) => status.name);
  return {
    status: "False",
    reason: "ContainersNotInitialized",
    message: `containers with incomplete status: [${missing.join(" ")}]`,
  };
}

function containersReady({ phase, statuses, inits }: ConditionFacts, sidecars: readonly string[]): Verdict {
  if (phase === "Succeeded") return { status: "False", reason: "PodCompleted" };
  if (phase === "Failed") return { status: "False", reason: "PodFailed" };
  const counted = [...inits.filter((status) => sidecars.includes(status.name)), ...statuses];
  const unready = counted.filter((status) => !status.ready).map((status) => status.name);
  if (unready.length === 0) return yes;
  return {
    status: "False",
    reason: "ContainersNotReady",
    message: `containers with unready status: [${unready.join(" ")}]`,
  };
}

/** Readiness gates (KEP-580): conditions that others must have set to True. */
function gatesVerdict(pod: Pod): Verdict {
  const messages = (pod.spec.readinessGates ?? []).flatMap(({ conditionType }) => {
    const found = pod.status?.conditions?.find((condition) => condition.type === conditionType);
    if (found?.status === "True") return [];
    return found
      ? [`the status of pod readiness gate "${conditionType}" is not "True", but ${found.status}`]
      : [`corresponding condition of pod readiness gate "${conditionType}" does not exist.`];
  });
  if (messages.length === 0) return yes;
  return { status: "False", reason: "ReadinessGatesNotReady", message: messages.join(", ") };
}

/** JSON merge patch from one status to another; undefined when nothing differs. */
export function statusPatch(from: PodStatus | undefined, to: PodStatus): object | undefined {
  const patch: Record<string, unknown> = {};
  const before = (from ?? {}) as Record<string, unknown>;
  const after = to as Record<string, unknown>;
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (canonical(before[key]) !== canonical(after[key])) patch[key] = after[key] ?? null;
  }
  return Object.keys(patch).length > 0 ? patch : undefined;
}

/** JSON with sorted keys and without empty objects: a server may order keys and drop `lastState: {}`. */
function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_, inner: unknown) => {
      if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
      const entries = Object.entries(inner).filter(
        ([, v]) => !(typeof v === "object" && v !== null && !Array.isArray(v) && Object.keys(v).length === 0),
      );
      return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
    }) ?? ""
  );
}
