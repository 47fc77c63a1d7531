import type { Container, Pod, Probe } from "../../kube/index.ts";
import type { Clock } from "../../system/index.ts";
import type { ContainerRecord } from "../runtime/runtime.ts";
import type { HandlerResult, HandlerTarget, RunHandler } from "./handler.ts";
import { observe, type ProbeState, unprobed } from "./probe-state.ts";

export type ProbeKind = "Startup" | "Liveness" | "Readiness";

/** Probes the running containers of this node's pods, each probe on its own clock. */
export interface Prober {
  /** Probes what runs of a pod now, and stops probing what does not. A pod that is being deleted keeps readiness only. */
  sync(pod: Pod, address: string | undefined, running: readonly ContainerRecord[]): void;
  stop(podUid: string): void;
  started(container: ContainerRecord): boolean;
  ready(container: ContainerRecord): boolean;
  /** Which probe says that the container must be ended, and with what grace it asks for; undefined: none. */
  unhealthy(container: ContainerRecord): { readonly kind: ProbeKind; readonly graceSeconds?: number } | undefined;
  /** What has been asked of the containers that are probed now. */
  counts(): readonly ProbeCount[];
}

/** What one probe of a container has been answered. */
export interface ProbeCount {
  readonly pod: Pod;
  readonly container: string;
  readonly kind: ProbeKind;
  readonly successful: number;
  readonly failed: number;
  /** Numbers of answers by the seconds they took: up to each of `probeBuckets`, those above all of them last. */
  readonly buckets: readonly number[];
  /** Seconds that all answers together took. */
  readonly seconds: number;
}

/** Upper bounds in seconds, as upstream. */
export const probeBuckets: readonly number[] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export interface ProberOptions {
  readonly run: RunHandler;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** A verdict changed. */
  readonly onChange: (podUid: string) => void;
  readonly onFailure: (pod: Pod, containerName: string, kind: ProbeKind, result: HandlerResult) => void;
}

interface Target extends HandlerTarget {
  readonly startedAt: number;
}

interface Watched {
  readonly podUid: string;
  readonly stop: AbortController;
  readonly spec: Container;
  readonly states: Map<ProbeKind, ProbeState>;
  readonly counts: Map<ProbeKind, { successful: number; failed: number; seconds: number; readonly buckets: number[] }>;
  /** Probes that still matter. */
  readonly kinds: Set<ProbeKind>;
  /** The pod as last seen: events and named ports come from it. */
  pod: Pod;
}

/**
 * A container that has just started is asked again after 50 ms, 100 ms, 200 ms and so on, until the first period is over:
 * it counts as ready when it is, not up to a period later. Failures of these early tries mean nothing.
 */
const firstTryMs = 50;

export function createProber(options: ProberOptions): Prober {
  const { run, clock, signal, onChange, onFailure } = options;
  const watched = new Map<string, Watched>();

  /** Settles when there is nothing more to learn: the verdict ends the container, or lets the other probes begin. */
  const probeLoop = async (entry: Watched, kind: ProbeKind, probe: Probe, target: Target): Promise<void> => {
    const stopped = AbortSignal.any([signal, entry.stop.signal]);
    const delay = target.startedAt + (probe.initialDelaySeconds ?? 0) * 1000 - clock.now();
    if (delay > 0) await clock.sleep(delay, stopped);
    const period = (probe.periodSeconds ?? 10) * 1000;
    const count = {
      successful: 0,
      failed: 0,
      seconds: 0,
      buckets: Array.from({ length: probeBuckets.length + 1 }, () => 0),
    };
    entry.counts.set(kind, count);
    const ask = async (): Promise<HandlerResult> => {
      const begun = clock.now();
      const result = await run(probe, { ...target, pod: entry.pod }, (probe.timeoutSeconds ?? 1) * 1000);
      const seconds = (clock.now() - begun) / 1000;
      count[result.ok ? "successful" : "failed"]++;
      count.seconds += seconds;
      const bucket = probeBuckets.findIndex((bound) => seconds <= bound);
      const at = bucket < 0 ? probeBuckets.length : bucket;
      count.buckets[at] = (count.buckets[at] ?? 0) + 1;
      return result;
    };
    /** False when there is no more to ask. */
    const note = (result: HandlerResult): boolean => {
      if (stopped.aborted || !entry.kinds.has(kind)) return false;
      const before = entry.states.get(kind) ?? unprobed;
      const after = observe(before, result.ok, probe);
      entry.states.set(kind, after);
      if (!result.ok) onFailure(entry.pod, entry.spec.name, kind, result);
      if (after.verdict !== before.verdict) onChange(entry.podUid);
      return after.verdict === undefined || !(kind === "Startup" || (kind === "Liveness" && !after.verdict));
    };
    if (kind !== "Liveness" && entry.states.get(kind)?.verdict === undefined) {
      const end = clock.now() + period;
      for (let wait = firstTryMs; clock.now() < end; wait *= 2) {
        const result = await ask();
        if (!result.ok) await clock.sleep(Math.max(0, Math.min(wait, end - clock.now())), stopped);
        else if (note(result)) await clock.sleep(period, stopped);
        else return;
        if (result.ok) break;
      }
    }
    while (entry.kinds.has(kind) && note(await ask())) await clock.sleep(period, stopped);
  };

  const begin = (pod: Pod, address: string, spec: Container, record: ContainerRecord): void => {
    const entry: Watched = {
      podUid: record.podUid,
      stop: new AbortController(),
      spec,
      states: new Map(),
      counts: new Map(),
      kinds: new Set(["Startup", "Liveness", "Readiness"]),
      pod,
    };
    watched.set(record.id, entry);
    // A container found running after a restart of the kubelet is what it was: no traffic is lost over it.
    const all = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
    const known = all.find((status) => status.containerID?.endsWith(`://${record.id}`));
    if (known?.ready) entry.states.set("Readiness", { ...unprobed, verdict: true });
    if (known?.started) entry.states.set("Startup", { ...unprobed, verdict: true });
    const startedAt = record.startedAt ?? clock.now();
    const target = { pod, containerName: spec.name, containerId: record.id, address, startedAt };
    const loop = (kind: ProbeKind, probe: Probe | undefined): Promise<void> =>
      // Only an abort makes a loop throw.
      probe ? probeLoop(entry, kind, probe, target).catch(() => {}) : Promise.resolve();
    const others = (): void => {
      void loop("Liveness", spec.livenessProbe);
      void loop("Readiness", spec.readinessProbe);
    };
    if (!spec.startupProbe || known?.started) return others();
    // Until it has started, a container is asked nothing else (KEP-950).
    void loop("Startup", spec.startupProbe).then(() => {
      if (entry.states.get("Startup")?.verdict === true) others();
    });
  };

  const end = (id: string): void => {
    watched.get(id)?.stop.abort();
    watched.delete(id);
  };

  return {
    sync(pod, address, running) {
      const ids = new Set(running.map(({ id }) => id));
      for (const [id, entry] of watched) if (entry.podUid === pod.metadata.uid && !ids.has(id)) end(id);
      const specs = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
      for (const record of running) {
        const spec = specs.find(({ name }) => name === record.name);
        const entry = watched.get(record.id);
        if (entry) entry.pod = pod;
        else if (spec && address !== undefined) begin(pod, address, spec, record);
        if (pod.metadata.deletionTimestamp) {
          watched.get(record.id)?.kinds.delete("Liveness");
          watched.get(record.id)?.kinds.delete("Startup");
        }
      }
    },
    stop(podUid) {
      for (const [id, entry] of watched) if (entry.podUid === podUid) end(id);
    },
    started(container) {
      if (container.state !== "running") return false;
      const entry = watched.get(container.id);
      return entry !== undefined && (!entry.spec.startupProbe || entry.states.get("Startup")?.verdict === true);
    },
    ready(container) {
      const entry = watched.get(container.id);
      if (!entry || !this.started(container)) return false;
      return !entry.spec.readinessProbe || entry.states.get("Readiness")?.verdict === true;
    },
    counts: () =>
      [...watched.values()].flatMap(({ pod, spec, counts }) =>
        [...counts].map(([kind, count]) => ({ pod, container: spec.name, kind, ...count })),
      ),
    unhealthy(container) {
      const entry = watched.get(container.id);
      for (const kind of ["Startup", "Liveness"] as const) {
        if (entry?.states.get(kind)?.verdict !== false || !entry.kinds.has(kind)) continue;
        const probe = kind === "Startup" ? entry.spec.startupProbe : entry.spec.livenessProbe;
        const graceSeconds = probe?.terminationGracePeriodSeconds;
        return { kind, ...(graceSeconds === undefined ? {} : { graceSeconds }) };
      }
      return undefined;
    },
  };
}
