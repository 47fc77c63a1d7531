import { since, type ContainerState, type ContainerStatus, type Pod } from "../../kube/index.ts";
import { ageColumn, ageOf, nameColumn, text, wide, type Printer } from "./columns.ts";

export const podPrinter: Printer<Pod> = {
  columns: [
    nameColumn,
    text("Ready", "How many containers of the pod are ready."),
    text("Status", "The state of the pod, summed up from its containers."),
    text("Restarts", "How often containers of the pod were restarted, and when last."),
    ageColumn,
    wide("IP", "Address of the pod."),
    wide("Node", "Node that the pod runs on."),
    wide("Nominated Node", "Node on which the pod is to get room by preemption."),
    wide("Readiness Gates", "How many of the pod's readiness gates are met."),
  ],
  cells(pod, now) {
    const { ready, total, reason, restarts, lastRestart } = summarize(pod);
    return [
      pod.metadata.name,
      `${ready}/${total}`,
      reason,
      restarts > 0 && lastRestart ? `${restarts} (${since(lastRestart, now)} ago)` : String(restarts),
      ageOf(pod, now),
      pod.status?.podIPs?.[0]?.ip || pod.status?.podIP || "<none>",
      pod.spec?.nodeName || "<none>",
      pod.status?.nominatedNodeName || "<none>",
      readinessGates(pod),
    ];
  },
  conditions(pod) {
    const message = { Succeeded: "The pod has completed successfully.", Failed: "The pod failed." };
    const phase = pod.status?.phase;
    if (phase !== "Succeeded" && phase !== "Failed") return [];
    return [{ type: "Completed", status: "True", reason: phase, message: message[phase] }];
  },
};

interface Restarts {
  restarts: number;
  /** When the container that restarted last had ended; RFC 3339. */
  lastRestart: string | undefined;
}

interface Summary extends Restarts {
  ready: number;
  total: number;
  reason: string;
}

/** What `kubectl get pods` says of a pod (pkg/printers/internalversion of Kubernetes). */
function summarize(pod: Pod): Summary {
  const { status = {}, spec } = pod;
  const sidecars = new Set(
    spec?.initContainers?.filter((one) => one.restartPolicy === "Always").map((one) => one.name),
  );
  const total = (spec?.containers.length ?? 0) + sidecars.size;
  const gated = status.conditions?.some((one) => one.type === "PodScheduled" && one.reason === "SchedulingGated");
  const initial = gated ? "SchedulingGated" : status.reason || status.phase || "";

  const init = summarizeInit(pod, sidecars);
  const initialized = status.conditions?.find((one) => one.type === "Initialized")?.status === "True";
  const main = !init.reason || initialized ? summarizeMain(pod, init.reason ?? initial, init.ofSidecars) : undefined;

  let reason = main?.reason ?? init.reason ?? initial;
  if (pod.metadata.deletionTimestamp) {
    if (status.reason === "NodeLost") reason = "Unknown";
    else if (status.phase !== "Succeeded" && status.phase !== "Failed") reason = "Terminating";
  }
  const { restarts, lastRestart } = main ?? init.all;
  return { ready: init.ready + (main?.ready ?? 0), total, reason, restarts, lastRestart };
}

/** How far the init containers are. No `reason`: they are through. */
function summarizeInit(pod: Pod, sidecars: ReadonlySet<string>) {
  const all: Restarts = { restarts: 0, lastRestart: undefined };
  const ofSidecars: Restarts = { restarts: 0, lastRestart: undefined };
  let ready = 0;
  let reason: string | undefined;
  for (const [index, container] of (pod.status?.initContainerStatuses ?? []).entries()) {
    const isSidecar = sidecars.has(container.name);
    addRestarts(all, container);
    if (isSidecar) addRestarts(ofSidecars, container);
    const { terminated, waiting } = container.state ?? {};
    if (terminated?.exitCode === 0) continue;
    if (isSidecar && container.started) {
      if (container.ready) ready++;
      continue;
    }
    if (terminated) reason = `Init:${endOf(terminated)}`;
    else if (waiting?.reason && waiting.reason !== "PodInitializing") reason = `Init:${waiting.reason}`;
    else reason = `Init:${index}/${pod.spec?.initContainers?.length ?? 0}`;
    break;
  }
  return { all, ofSidecars, ready, reason };
}

function summarizeMain(pod: Pod, initial: string, sidecars: Restarts) {
  const restarts: Restarts = { ...sidecars };
  let reason = initial;
  let ready = 0;
  // From the last to the first: the first container that has something to say is what is shown.
  for (const container of [...(pod.status?.containerStatuses ?? [])].reverse()) {
    addRestarts(restarts, container);
    const { waiting, terminated, running } = container.state ?? {};
    if (waiting?.reason) reason = waiting.reason;
    else if (terminated) reason = endOf(terminated);
    else if (container.ready && running) ready++;
  }
  if (reason === "Completed" && ready > 0) {
    const isReady = pod.status?.conditions?.some((one) => one.type === "Ready" && one.status === "True");
    reason = isReady ? "Running" : "NotReady";
  }
  return { ...restarts, reason, ready };
}

function addRestarts(sum: Restarts, container: ContainerStatus): void {
  sum.restarts += container.restartCount;
  const ended = container.lastState?.terminated?.finishedAt;
  if (ended && (!sum.lastRestart || Date.parse(ended) > Date.parse(sum.lastRestart))) sum.lastRestart = ended;
}

function endOf(terminated: NonNullable<ContainerState["terminated"]>): string {
  return terminated.reason || (terminated.signal ? `Signal:${terminated.signal}` : `ExitCode:${terminated.exitCode}`);
}

function readinessGates(pod: Pod): string {
  const gates = pod.spec?.readinessGates ?? [];
  if (gates.length === 0) return "<none>";
  const met = gates.filter((gate) => {
    return pod.status?.conditions?.find((one) => one.type === gate.conditionType)?.status === "True";
  });
  return `${met.length}/${gates.length}`;
}
