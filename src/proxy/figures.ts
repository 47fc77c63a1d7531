import type { EndpointSlice } from "../kube/index.ts";
import type { Clock, Metrics } from "../system/index.ts";
import type { Program } from "../tables/index.ts";

/** What brings rows into force tells each time how long it took, or that it failed. */
export interface Syncs {
  done(seconds: number): void;
  failed(): void;
}

/** Figures of a proxy, under kube-proxy's names where it has the same. */
export interface ProxyFigures {
  readonly syncs: Syncs;
  serviceChanged(): void;
  sliceChanged(): void;
  /** A slice that has changed just now will be in force when `done` resolves. */
  programming(before: EndpointSlice | undefined, after: EndpointSlice | undefined, done: Promise<void>): void;
  /** A change waits to come into force. */
  queued(): void;
  /** An answer on the port of health. */
  answered(path: "healthz" | "livez", code: number): void;
}

/** Upper bounds in seconds, as upstream. */
const syncBuckets = Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i);
const programmingBuckets = [0.25, 0.5, 1, 2, 3, 4, 5, 10, 20, 30, 60, 120, 300];
const changeBuckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30];

/** Written by who makes EndpointSlices: when the change was made that led to this version. */
const triggerAnnotation = "endpoints.kubernetes.io/last-change-trigger-time";

export function createProxyFigures(metrics: Metrics, clock: Clock, family: string): ProxyFigures {
  const labels = ["ip_family"];
  const counter = (name: string, help: string) => metrics.counter(name, help, labels)(family);
  const gauge = (name: string, help: string) => metrics.gauge(name, help, labels)(family);
  const histogram = (name: string, help: string, buckets: readonly number[]) =>
    metrics.histogram(name, help, labels, buckets)(family);

  const syncs = histogram(
    "kubeproxy_sync_proxy_rules_duration_seconds",
    "Time of one step that brings rules into force.",
    syncBuckets,
  );
  const failures = counter("kubeproxy_sync_proxy_rules_nftables_sync_failures_total", "Steps that nftables refused.");
  const last = gauge("kubeproxy_sync_proxy_rules_last_timestamp_seconds", "When rules last came into force.");
  const lastQueued = gauge("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds", "When a change last came.");
  const services = counter("kubeproxy_sync_proxy_rules_service_changes_total", "Changes of Services.");
  const slices = counter("kubeproxy_sync_proxy_rules_endpoint_changes_total", "Changes of EndpointSlices.");
  const sinceTrigger = histogram(
    "kubeproxy_network_programming_duration_seconds",
    "Time from the change of a pod or Service to the rules that follow from it.",
    programmingBuckets,
  );
  const sinceArrival = histogram(
    "fairlead_proxy_change_duration_seconds",
    "Time from the arrival of an EndpointSlice to its rules being in force.",
    changeBuckets,
  );
  const answers = {
    healthz: metrics.counter("kubeproxy_proxy_healthz_total", "Answers on /healthz, by status code.", ["code"]),
    livez: metrics.counter("kubeproxy_proxy_livez_total", "Answers on /livez, by status code.", ["code"]),
  };
  // What happened before this process began is not its delay.
  const began = clock.now();

  return {
    syncs: {
      done(seconds) {
        syncs.observe(seconds);
        last.set(clock.now() / 1000);
      },
      failed: () => failures.inc(),
    },
    serviceChanged: () => services.inc(),
    sliceChanged: () => slices.inc(),
    programming(before, after, done) {
      const arrived = performance.now();
      const trigger = triggerOf(after);
      const triggered = trigger === triggerOf(before) ? Number.NaN : Date.parse(trigger ?? "");
      done.then(
        () => {
          sinceArrival.observe((performance.now() - arrived) / 1000);
          if (triggered >= began) sinceTrigger.observe((clock.now() - triggered) / 1000);
        },
        // The proxy has stopped: there is nothing to count any more.
        () => {},
      );
    },
    queued: () => lastQueued.set(clock.now() / 1000),
    answered: (path, code) => answers[path](String(code)).inc(),
  };
}

function triggerOf(slice: EndpointSlice | undefined): string | undefined {
  return slice?.metadata.annotations?.[triggerAnnotation];
}

/** The same program, each transaction of which is told. */
export function told(program: Program, syncs: Syncs): Program {
  return {
    async apply(transaction) {
      const begun = performance.now();
      try {
        const refused = await program.apply(transaction);
        syncs.done((performance.now() - begun) / 1000);
        return refused;
      } catch (error) {
        syncs.failed();
        throw error;
      }
    },
  };
}
