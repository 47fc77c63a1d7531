import type { Pod } from "../kube/index.ts";
import type { Clock, Metrics } from "../system/index.ts";
import type { Runtime } from "./runtime/runtime.ts";

/** Upper bounds in seconds. */
const quick = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const slow = [0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600];

/** A runtime whose work is counted, under the names that a kubelet has for it and the operations that the Container Runtime Interface has. */
export function countedRuntime(runtime: Runtime, metrics: Metrics, clock: Clock): Runtime {
  const labels = ["operation_type"];
  const total = metrics.counter("kubelet_runtime_operations_total", "Operations of the runtime.", labels);
  const errors = metrics.counter("kubelet_runtime_operations_errors_total", "Operations that failed.", labels);
  const took = metrics.histogram("kubelet_runtime_operations_duration_seconds", "Time they took.", labels, quick);
  const startedPods = metrics.counter("kubelet_started_pods_total", "Sandboxes that were made.")();
  const startedContainers = metrics.counter("kubelet_started_containers_total", "Containers that were started.")();
  const pods = metrics.gauge("kubelet_running_pods", "Pods that have a sandbox which is ready.")();
  const states = ["created", "running", "exited"] as const;
  const containers = metrics.gauge("kubelet_running_containers", "Containers of the runtime, by state.", [
    "container_state",
  ]);
  pods.from(async () => (await runtime.list()).sandboxes.filter(({ ready }) => ready).length);
  for (const state of states)
    containers(state).from(async () => (await runtime.list()).containers.filter((one) => one.state === state).length);

  const counted = async <T>(operation: string, work: () => Promise<T>): Promise<T> => {
    const begun = clock.now();
    total(operation).inc();
    try {
      return await work();
    } catch (error) {
      errors(operation).inc();
      throw error;
    } finally {
      took(operation).observe((clock.now() - begun) / 1000);
    }
  };
  return {
    version: runtime.version,
    onChange: (listener) => runtime.onChange(listener),
    ensureImage: (image) => counted("pull_image", () => runtime.ensureImage(image)),
    async createSandbox(config) {
      const made = await counted("run_podsandbox", () => runtime.createSandbox(config));
      startedPods.inc();
      return made;
    },
    stopSandbox: (id) => counted("stop_podsandbox", () => runtime.stopSandbox(id)),
    removeSandbox: (id) => counted("remove_podsandbox", () => runtime.removeSandbox(id)),
    createContainer: (config) => counted("create_container", () => runtime.createContainer(config)),
    async startContainer(id) {
      await counted("start_container", () => runtime.startContainer(id));
      startedContainers.inc();
    },
    stopContainer: (id, graceMs) => counted("stop_container", () => runtime.stopContainer(id, graceMs)),
    removeContainer: (id) => counted("remove_container", () => runtime.removeContainer(id)),
    list: (podUid) => counted("list_containers", () => runtime.list(podUid)),
    exec: (id, command, how) => counted("exec_sync", () => runtime.exec(id, command, how)),
    execStreams: (id, command, how) => counted("exec", () => runtime.execStreams(id, command, how)),
    attach: (id, how) => counted("attach", () => runtime.attach(id, how)),
    portForward: (id, port) => counted("port_forward", () => runtime.portForward(id, port)),
    stats: () => counted("list_container_stats", () => runtime.stats()),
  };
}

/** What else a kubelet tells of its work. */
export interface WorkFigures {
  /** A look at a pod took so many seconds. */
  worked(seconds: number): void;
  /** A pod as it was and as it is now. */
  changed(before: Pod | undefined, after: Pod | undefined): void;
}

export function createWorkFigures(metrics: Metrics, nodeName: string, clock: Clock): WorkFigures {
  metrics.gauge("kubelet_node_name", "Always 1; the node's name is its label.", ["node"])(nodeName).set(1);
  const worked = metrics.histogram(
    "kubelet_pod_worker_duration_seconds",
    "Time of a look at a pod and of the steps that followed.",
    ["operation_type"],
    quick,
  )("sync");
  const started = metrics.histogram(
    "kubelet_pod_start_duration_seconds",
    "Time from when the kubelet saw a pod first until it ran.",
    [],
    slow,
  )();
  /** When pods were seen that do not run yet, by uid. */
  const waiting = new Map<string, number>();
  return {
    worked: (seconds) => worked.observe(seconds),
    changed(before, after) {
      const uid = (after ?? before)?.metadata.uid ?? "";
      const phase = after?.status?.phase ?? (after ? "Pending" : undefined);
      if (phase === "Pending") {
        if (!waiting.has(uid)) waiting.set(uid, clock.now());
        return;
      }
      const since = waiting.get(uid);
      waiting.delete(uid);
      if (phase === "Running" && since !== undefined) started.observe((clock.now() - since) / 1000);
    },
  };
}
