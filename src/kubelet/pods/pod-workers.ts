import { type Client, type EventRecorder, setPodCondition } from "../../client/index.ts";
import { type Container, isStatus, type Node, type Pod, resources, type Service } from "../../kube/index.ts";
import type { Clock, Logger } from "../../system/index.ts";
import type { RunHandler } from "../probes/handler.ts";
import type { Prober } from "../probes/prober.ts";
import type { ContainerRecord, Runtime, Sandbox } from "../runtime/runtime.ts";
import type { Volumes } from "../volumes/volumes.ts";
import { admit, type Rejection } from "./admission.ts";
import { createRestartBackOff } from "./back-off.ts";
import type { WaitingReason } from "./container-status.ts";
import { type DnsSettings, podDns } from "./dns.ts";
import type { DownwardFacts } from "./downward-api.ts";
import type { Lookup } from "./environment.ts";
import { hostPortsOf } from "./host-ports.ts";
import { podHostname } from "./hostname.ts";
import { type PlanFacts, planPod, type Start } from "./plan.ts";
import type { PodDirectories } from "./pod-directories.ts";
import { podStatus, statusPatch } from "./pod-status.ts";
import type { PodStore } from "./pod-store.ts";
import { isSidecar, isTerminal, newest, type PodView, running, viewOf } from "./pod-view.ts";
import { fieldPathOf, runPostStart, startContainer } from "./start-container.ts";
import { stopContainer } from "./stop-container.ts";

export interface PodWorkersOptions {
  readonly client: Client;
  readonly runtime: Runtime;
  readonly pods: PodStore;
  readonly services: () => readonly Service[];
  readonly prober: Prober;
  readonly runHandler: RunHandler;
  readonly volumes: Volumes;
  readonly directories: PodDirectories;
  readonly lookup: (namespace: string) => Lookup;
  readonly recorder: EventRecorder;
  readonly dns: DnsSettings;
  readonly hostAddresses: readonly string[];
  readonly allocatable: DownwardFacts["allocatable"];
  /** This node as the API has it; undefined: not seen yet. */
  readonly node: () => Node | undefined;
  /** Asks for another look at a pod. */
  readonly enqueue: (uid: string) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What is remembered of a pod between looks; a new kubelet does without. */
interface Memory {
  readonly waiting: Map<string, WaitingReason>;
  /** Containers being stopped, with the grace they were given. */
  readonly stopping: Map<string, number>;
  /** Containers whose postStart is at work. */
  readonly hooked: Set<string>;
  /** What failed for a reason of its own and is tried again later: a container by name, or `wholePod`. */
  readonly retries: Map<string, { readonly at: number; readonly delay: number }>;
}

const wholePod = "";
const firstRetryMs = 5_000;
const lastRetryMs = 80_000;

/** Brings one pod after another, by uid, to what the API wants. Level-triggered: it looks at what is, then does the next step. */
export function createPodWorkers(options: PodWorkersOptions): {
  reconcile(uid: string): Promise<void | { again: number }>;
  /** What failed may be tried again now: something it refers to has changed. */
  hurry(uid: string): void;
} {
  const { client, runtime, pods, prober, volumes, directories, recorder, clock, log, enqueue } = options;
  const memories = new Map<string, Memory>();
  /** Pods that this node has taken, by uid. */
  const begun = new Set<string>();
  const backOff = createRestartBackOff(() => clock.now());
  const runtimeName = runtime.version.split("://")[0] ?? "";

  const memoryOf = (uid: string): Memory => {
    let memory = memories.get(uid);
    if (!memory)
      memories.set(uid, (memory = { waiting: new Map(), stopping: new Map(), hooked: new Set(), retries: new Map() }));
    return memory;
  };

  const look = async (uid: string): Promise<PodView> => viewOf(await runtime.list(uid));

  const addressesOf = (pod: Pod, sandbox: Sandbox | undefined): readonly string[] =>
    pod.spec.hostNetwork ? options.hostAddresses : (sandbox?.addresses ?? []);
  const addressOf = (pod: Pod, sandbox: Sandbox | undefined): string | undefined => addressesOf(pod, sandbox)[0];

  const downwardFacts = (pod: Pod, sandbox: Sandbox | undefined): DownwardFacts => {
    const { hostAddresses: hostIPs, allocatable } = options;
    return { pod, podIPs: addressesOf(pod, sandbox), hostIPs, allocatable };
  };

  /** Milliseconds the pod may still be active; undefined without a deadline. */
  const activeLeft = (pod: Pod): number | undefined => {
    const { activeDeadlineSeconds: seconds } = pod.spec;
    const start = pod.status?.startTime;
    return seconds === undefined || start === undefined ? undefined : Date.parse(start) + seconds * 1000 - clock.now();
  };

  const isOverdue = (pod: Pod): boolean => !isTerminal(pod) && (activeLeft(pod) ?? 1) <= 0;

  const hasStarted = (container: ContainerRecord): boolean =>
    prober.started(container) && !memoryOf(container.podUid).hooked.has(container.id);

  const runHook = (pod: Pod, container: Container, record: ContainerRecord, address: string): void => {
    const { hooked, waiting } = memoryOf(record.podUid);
    hooked.add(record.id);
    runPostStart(pod, container, record, address, options)
      .then((problem) => problem && waiting.set(container.name, problem))
      .catch((error: unknown) => log.warn({ pod: record.podUid, error: textOf(error) }, "postStart failed"))
      .finally(() => {
        hooked.delete(record.id);
        enqueue(record.podUid);
      });
  };

  const writeStatus = async (pod: Pod, view: PodView, rejection?: Rejection): Promise<void> => {
    const uid = pod.metadata.uid ?? "";
    const wanted = podStatus(pod, view, {
      now: clock.now(),
      hostAddresses: options.hostAddresses,
      runtime: runtimeName,
      waiting: memoryOf(uid).waiting,
      started: hasStarted,
      ready: (container) => hasStarted(container) && prober.ready(container),
      failure: isOverdue(pod)
        ? { reason: "DeadlineExceeded", message: "Pod was active on the node longer than the specified deadline" }
        : rejection,
    });
    const patch = statusPatch(pod.status, wanted);
    if (!patch) return;
    const { name, namespace = "", resourceVersion } = pod.metadata;
    try {
      const body = { metadata: { uid, resourceVersion }, status: patch };
      const written = await client.patch(
        resources.Pod,
        { namespace, name },
        { type: "merge", body },
        { subresource: "status" },
      );
      pods.wrote(written);
    } catch (error) {
      // Gone, or changed meanwhile: the watch says so too, and then it is looked at again.
      if (!isStatus(error, "NotFound", "Conflict")) throw error;
    }
  };

  const stop = (pod: Pod | undefined, record: ContainerRecord, address: string, graceMs: number, why: string): void => {
    const { stopping } = memoryOf(record.podUid);
    if ((stopping.get(record.id) ?? Infinity) <= graceMs) return;
    const isFirst = !stopping.has(record.id);
    stopping.set(record.id, graceMs);
    // Asked again with less grace, the hook has run or is running: only the time is cut.
    const work = isFirst
      ? stopContainer(pod, record, { graceMs, why, address }, options)
      : runtime.stopContainer(record.id, graceMs);
    work
      .catch((error: unknown) =>
        log.warn({ pod: record.podUid, container: record.name, error: textOf(error) }, "stop failed"),
      )
      .finally(() => {
        stopping.delete(record.id);
        enqueue(record.podUid);
      });
  };

  const begunPods = (): Pod[] =>
    pods
      .all()
      .flatMap(({ metadata }) => pods.get(metadata.uid ?? "") ?? [])
      .filter(({ metadata, status }) => status?.startTime || begun.has(metadata.uid ?? ""));

  /** Ends a pod for a critical one that does not fit beside it: with its phase its containers are stopped. */
  const evict = async (pod: Pod): Promise<void> => {
    const condition = {
      type: "DisruptionTarget",
      status: "True",
      reason: "TerminationByKubelet",
      message: "Pod was preempted by Kubelet to accommodate a critical pod.",
    };
    const failure = { reason: "Preempting", message: "Preempted in order to admit critical pod" };
    const written = await setPodCondition(client, pod, condition, clock.now(), { phase: "Failed", ...failure });
    if (!written) return;
    pods.wrote(written);
    recorder.event(pod, "Warning", failure.reason, failure.message);
    enqueue(pod.metadata.uid ?? "");
  };

  const graceOf = (pod: Pod): number => (pod.spec.terminationGracePeriodSeconds ?? 30) * 1000;

  const reconcile = async (uid: string): Promise<void | { again: number }> => {
    const pod = pods.get(uid);
    const view = await look(uid);
    if (!pod || pod.metadata.deletionTimestamp) return terminate(uid, pod, view);
    return advance(uid, pod, view);
  };

  const advance = async (uid: string, pod: Pod, view: PodView): Promise<void | { again: number }> => {
    const memory = memoryOf(uid);
    const admission = view.sandbox || isTerminal(pod) ? undefined : admit(pod, begunPods(), options.node());
    if (admission && "rejected" in admission) {
      const { reason, message } = admission.rejected;
      recorder.event(pod, "Warning", reason, message);
      return writeStatus(pod, view, admission.rejected);
    }
    // Before anything is waited for: of two that come at once the second must see the first.
    begun.add(uid);
    for (const victim of admission?.evict ?? []) await evict(victim);
    const facts: PlanFacts = {
      backOff: (name, finishedAt) => backOff.remaining(`${uid}/${name}`, finishedAt),
      started: hasStarted,
      hooked: ({ id }) => memory.hooked.has(id),
      unhealthy: (container) => prober.unhealthy(container)?.kind,
      overdue: isOverdue(pod),
    };
    prober.sync(pod, addressOf(pod, view.sandbox), running(view));
    const plan = planPod(pod, view, facts);
    for (const { id, name, why } of plan.stop) {
      const record = running(view).find((container) => container.id === id);
      if (!record) continue;
      const unhealthy = prober.unhealthy(record);
      const graceMs = unhealthy?.graceSeconds === undefined ? graceOf(pod) : unhealthy.graceSeconds * 1000;
      const probe = unhealthy?.kind.toLowerCase();
      const message = unhealthy
        ? `Container ${name} failed ${probe} probe, will be restarted`
        : `Stopping container ${name}: ${why}`;
      stop(pod, record, addressOf(pod, view.sandbox) ?? "", graceMs, message);
    }
    for (const id of plan.removeContainers) await runtime.removeContainer(id);
    for (const id of plan.removeSandboxes) await runtime.removeSandbox(id);
    if (plan.stopSandbox !== undefined) await runtime.stopSandbox(plan.stopSandbox);
    noteBackOff(pod, view, plan.waiting, memory);
    const again = [...plan.waiting.values()];

    const due = plan.start.filter(({ container }) => heldBack(memory, container.name) === 0);
    if ((plan.createSandbox !== undefined || due.length > 0) && heldBack(memory, wholePod) === 0) {
      await start(pod, view, plan.createSandbox, due, memory);
    } else if (running(view).length > 0) {
      await volumes.refresh(pod, downwardFacts(pod, view.sandbox));
    }
    for (const key of memory.retries.keys()) if (heldBack(memory, key) > 0) again.push(heldBack(memory, key));
    const after = await look(uid);
    prober.sync(pod, addressOf(pod, after.sandbox), running(after));
    // The pod may have changed while containers were started.
    await writeStatus(pods.get(uid) ?? pod, after);
    // What ended at once or became possible by what was started, for example after an init container without work.
    if (running(after).length < running(view).length) enqueue(uid);
    const left = activeLeft(pods.get(uid) ?? pod);
    if (left !== undefined && left > 0) again.push(left);
    const renewal = running(after).length > 0 ? volumes.dueIn(uid) : undefined;
    if (renewal !== undefined) again.push(renewal);
    return again.length > 0 ? { again: Math.max(Math.min(...again), 1) } : undefined;
  };

  /** Milliseconds until what failed is tried again; 0 for now. */
  const heldBack = (memory: Memory, key: string): number =>
    Math.max(0, (memory.retries.get(key)?.at ?? 0) - clock.now());

  const failed = (memory: Memory, key: string): void => {
    const before = memory.retries.get(key);
    const delay = before ? Math.min(before.delay * 2, lastRetryMs) : firstRetryMs;
    memory.retries.set(key, { at: clock.now() + delay, delay });
  };

  const noteBackOff = (pod: Pod, view: PodView, waiting: ReadonlyMap<string, number>, memory: Memory): void => {
    const { name, namespace, uid = "" } = pod.metadata;
    for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
      if (!waiting.has(container.name)) continue;
      const seconds = Math.round(backOff.delay(`${uid}/${container.name}`) / 1000);
      const delay = seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
      const about = `restarting failed container=${container.name} pod=${name}_${namespace}(${uid})`;
      const known = memory.waiting.get(container.name)?.reason === "CrashLoopBackOff";
      memory.waiting.set(container.name, { reason: "CrashLoopBackOff", message: `back-off ${delay} ${about}` });
      if (known || !newest(view, container.name)) continue;
      const message = `Back-off restarting failed container ${container.name} in pod ${name}_${namespace}(${uid})`;
      recorder.event(pod, "Warning", "BackOff", message, { fieldPath: fieldPathOf(pod, container) });
    }
  };

  /** Makes what is missing. What fails is told, and held back for a while. */
  const start = async (
    pod: Pod,
    view: PodView,
    createSandbox: number | undefined,
    starts: readonly Start[],
    memory: Memory,
  ): Promise<void> => {
    // So that others see it is being worked on, and since when.
    if (!pod.status?.startTime) await writeStatus(pod, view);
    let sandbox = view.sandbox;
    try {
      if (createSandbox !== undefined) {
        const { namespace = "", name, uid = "" } = pod.metadata;
        await checkRuntimeClass(client, pod);
        sandbox = await runtime.createSandbox({
          podUid: uid,
          namespace,
          name,
          attempt: createSandbox,
          ...podHostname(pod, options.dns.clusterDomain),
          hostNetwork: pod.spec.hostNetwork ?? false,
          hostPorts: hostPortsOf(pod),
          dns: podDns(pod, options.dns),
          hostAliases: (pod.spec.hostAliases ?? []).map(({ ip, hostnames = [] }) => ({ ip, hostnames })),
        });
      }
    } catch (error) {
      recorder.event(pod, "Warning", "FailedCreatePodSandBox", `Failed to create pod sandbox: ${textOf(error)}`);
      return failed(memory, wholePod);
    }
    if (!sandbox) return;
    const facts = downwardFacts(pod, sandbox);
    let paths: ReadonlyMap<string, string>;
    try {
      paths = await volumes.setUp(pod, facts);
    } catch (error) {
      recorder.event(pod, "Warning", "FailedMount", textOf(error));
      return failed(memory, wholePod);
    }
    memory.retries.delete(wholePod);
    for (const step of starts) {
      const { name } = step.container;
      if (step.after?.finishedAt !== undefined) {
        backOff.restarted(`${pod.metadata.uid}/${name}`, step.after.finishedAt);
      }
      const more = { sandbox, services: options.services(), volumes: paths };
      const problem = await startContainer(
        step,
        { ...facts, ...more },
        { ...options, lookup: options.lookup(pod.metadata.namespace ?? "") },
      );
      if (problem) memory.waiting.set(name, problem);
      else memory.waiting.delete(name);
      // What was started and failed is the back-off's; what could not even be made is tried again later.
      if (problem && problem.reason !== "RunContainerError") failed(memory, name);
      else memory.retries.delete(name);
      if (problem || !step.container.lifecycle?.postStart) continue;
      const record = newest(await look(pod.metadata.uid ?? ""), name);
      if (record) runHook(pod, step.container, record, addressOf(pod, sandbox) ?? "");
      // The others wait for the hook.
      break;
    }
  };

  const terminate = async (uid: string, pod: Pod | undefined, view: PodView): Promise<void> => {
    const alive = running(view);
    if (pod) prober.sync(pod, addressOf(pod, view.sandbox), alive);
    else prober.stop(uid);
    if (alive.length > 0) {
      const seconds = pod
        ? (pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30)
        : 1;
      const sidecars = new Set((pod?.spec.initContainers ?? []).filter(isSidecar).map(({ name }) => name));
      const mains = alive.filter(({ name }) => !sidecars.has(name));
      // Sidecars serve the others to their end (KEP-753).
      for (const record of mains.length > 0 ? mains : alive) {
        const graceMs = Math.max(seconds, 1) * 1000;
        stop(pod, record, (pod && addressOf(pod, view.sandbox)) ?? "", graceMs, `Stopping container ${record.name}`);
      }
      if (pod) await writeStatus(pod, view);
      return;
    }
    prober.stop(uid);
    if (pod) await writeStatus(pod, view);
    for (const { id } of view.sandboxes) await runtime.removeSandbox(id);
    const homeless = [...view.containers.values(), view.leftovers]
      .flat()
      .filter(({ sandboxId }) => !view.sandboxes.some(({ id }) => id === sandboxId));
    for (const { id } of homeless) await runtime.removeContainer(id);
    volumes.remove(uid);
    directories.remove(uid);
    backOff.forget(`${uid}/`);
    if (pod) await forget(pod);
    memories.delete(uid);
    begun.delete(uid);
  };

  /** Nothing of it is left on this node: now the object may go. Finalizers of others may still hold it. */
  const forget = async (pod: Pod): Promise<void> => {
    const { name, namespace = "", uid = "" } = pod.metadata;
    try {
      const preconditions = { preconditions: { uid } };
      await client.delete(resources.Pod, { namespace, name }, { gracePeriodSeconds: 0, ...preconditions });
    } catch (error) {
      if (!isStatus(error, "NotFound", "Conflict")) throw error;
    }
  };

  return { reconcile, hurry: (uid) => memories.get(uid)?.retries.clear() };
}

/** Names of RuntimeClass handlers that stand for the one runtime there is. */
const handlers = ["process", "runc"];

/** Throws an Error when the pod is to run by a runtime that this node has not. */
async function checkRuntimeClass(client: Pick<Client, "get">, { spec }: Pod): Promise<void> {
  const { runtimeClassName: name } = spec;
  if (!name) return;
  const { handler } = await client.get(resources.RuntimeClass, { name });
  if (!handlers.includes(handler))
    throw new Error(`failed to get sandbox runtime: no runtime for ${JSON.stringify(handler)} is configured`);
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
