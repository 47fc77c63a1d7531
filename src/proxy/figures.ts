import type { EndpointSlice } from "../kube/index.ts";
import type { Clock, Metrics } from "../system/index.ts";
import type { NodePlan } from "../services/index.ts";
import type { Program } from "../tables/index.ts";
import type { ProxyMode } from "./backend.ts";
import type { DrainingEndpoint } from "./draining.ts";

/** What brings rows into force tells each time how long it took, or that it failed. */
export interface Syncs {
  /** `full`: everything was built anew, not what had changed alone. */
  readonly done: (seconds: number, full: boolean) => void;
  readonly failed: (mode: ProxyMode, full: boolean) => void;
  /** Flows of endpoints that are gone were looked for, and so many ended. */
  readonly cleaned: (seconds: number, deleted: number) => void;
  /** How many sockets on localhost serve NodePorts is asked so from now on. */
  readonly localNodePorts: (open: () => number) => void;
  readonly localNodePortFailed: () => void;
  /** How many connections wait for an endpoint, and how many endpoints are tried last, is asked so from now on. */
  readonly userspace: (of: { held: () => number; failing: () => number; carried: () => number }) => void;
}

/** Figures of a proxy, under kube-proxy's names where it has the same. */
export interface ProxyFigures {
  readonly syncs: Syncs;
  serviceChanged(): void;
  sliceChanged(): void;
  /** A slice that has changed just now will be in force when `done` resolves. */
  programming(before: EndpointSlice | undefined, after: EndpointSlice | undefined, done: Promise<void>): void;
  /** A change waits to come into force; when `done` resolves it has. */
  queued(done?: Promise<void>): void;
  /** The plan of a Service is another now. */
  planned(key: string, plan: NodePlan | undefined): void;
  /** Endpoints that are about to go are asked for so. */
  draining(left: () => Promise<readonly DrainingEndpoint[]>): void;
  /** An answer on the port of health. */
  answered(path: "healthz" | "livez", code: number): void;
}

const range = (first: number, step: number, count: number) => Array.from({ length: count }, (_, i) => first + step * i);
/** Upper bounds in seconds, as upstream. */
const syncBuckets = Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i);
const programmingBuckets = [0.25, 0.5, ...range(1, 1, 59), ...range(60, 5, 12), ...range(120, 30, 7)];
const changeBuckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30];

/** Written by who makes EndpointSlices: when the change was made that led to this version. */
const triggerAnnotation = "endpoints.kubernetes.io/last-change-trigger-time";

export function createProxyFigures(metrics: Metrics, clock: Clock, family: string): ProxyFigures {
  const labels = ["ip_family"];
  const counter = (name: string, help: string) => metrics.counter(name, help, labels)(family);
  const gauge = (name: string, help: string) => metrics.gauge(name, help, labels)(family);
  const histogram = (name: string, help: string, buckets: readonly number[]) =>
    metrics.histogram(name, help, labels, buckets)(family);
  const sync = (kind: string, help: string) =>
    histogram(`kubeproxy_sync_${kind}proxy_rules_duration_seconds`, help, syncBuckets);

  const syncs = {
    all: sync("", "Time of one step that brings rules into force."),
    full: sync("full_", "Time of one step that built all rules anew."),
    partial: sync("partial_", "Time of one step that brought changed rules into force."),
  };
  const rules = "kubeproxy_sync_proxy_rules_";
  const failures = {
    nftables: counter(`${rules}nftables_sync_failures_total`, "Steps that nftables refused."),
    iptables: counter(`${rules}iptables_restore_failures_total`, "Steps that iptables-restore refused."),
    partial: counter(`${rules}iptables_partial_restore_failures_total`, "Those of changed rules alone."),
  };
  // kube-proxy's, of rules that this proxy does not have: what they count does not happen here.
  counter(
    `${rules}nftables_cleanup_failures_total`,
    "Chains that were left over and could not be removed: there are none.",
  );
  counter(
    "kubeproxy_iptables_ct_state_invalid_dropped_packets_total",
    "Packets dropped because the kernel could not place them in a connection: no rule does that.",
  );
  counter(
    "kubeproxy_iptables_localhost_nodeports_accepted_packets_total",
    "Packets from localhost that iptables led to a NodePort: user space serves those.",
  );
  const local = { open: () => 0 };
  gauge("kubeproxy_nftables_localhost_nodeport_listeners", "Sockets on localhost that serve NodePorts.").from(() =>
    local.open(),
  );
  const localFailed = counter(
    "kubeproxy_nftables_localhost_nodeport_listener_creation_failures_total",
    "Sockets on localhost for NodePorts that could not be opened.",
  );
  const last = gauge(`${rules}last_timestamp_seconds`, "When rules last came into force.");
  const lastQueued = gauge(`${rules}last_queued_timestamp_seconds`, "When a change last came.");
  const changes = {
    service: counter(`${rules}service_changes_total`, "Changes of Services."),
    slice: counter(`${rules}endpoint_changes_total`, "Changes of EndpointSlices."),
  };
  const pending = { service: 0, slice: 0 };
  gauge(`${rules}service_changes_pending`, "Changes of Services that are not in force yet.").from(
    () => pending.service,
  );
  gauge(`${rules}endpoint_changes_pending`, "Changes of EndpointSlices that are not in force yet.").from(
    () => pending.slice,
  );
  const withoutLocal = { internal: new Map<string, number>(), external: new Map<string, number>() };
  const noLocal = metrics.gauge(
    `${rules}no_local_endpoints_total`,
    "Service ports with policy Local and no endpoint on this node.",
    [...labels, "traffic_policy"],
  );
  for (const policy of ["internal", "external"] as const)
    noLocal(family, policy).from(() => [...withoutLocal[policy].values()].reduce((sum, count) => sum + count, 0));
  const cleaning = histogram(
    "kubeproxy_conntrack_reconciler_sync_duration_seconds",
    "Time of one look for flows to endpoints that are gone.",
    syncBuckets,
  );
  const cleaned = counter("kubeproxy_conntrack_reconciler_deleted_entries_total", "Flows that were ended so.");
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
  // 0 in the kernel's modes: a figure that comes and goes with the mode is missed by those who watch it.
  const held = gauge("fairlead_proxy_held_connections", "Connections that wait for an endpoint.");
  const failing = gauge(
    "fairlead_proxy_failing_endpoints",
    "Endpoints tried last because connects to them keep failing.",
  );
  const carried = gauge("fairlead_proxy_carried_connections", "TCP connections that this process carries.");
  const answers = {
    healthz: metrics.counter("kubeproxy_proxy_healthz_total", "Answers on /healthz, by status code.", ["code"]),
    livez: metrics.counter("kubeproxy_proxy_livez_total", "Answers on /livez, by status code.", ["code"]),
  };
  // What happened before this process began is not its delay.
  const began = clock.now();

  return {
    syncs: {
      done(seconds, full) {
        syncs.all.observe(seconds);
        syncs[full ? "full" : "partial"].observe(seconds);
        last.set(clock.now() / 1000);
      },
      failed(mode, full) {
        if (mode === "nftables") failures.nftables.inc();
        if (mode === "iptables") failures.iptables.inc();
        if (mode === "iptables" && !full) failures.partial.inc();
      },
      localNodePorts(open) {
        local.open = open;
      },
      localNodePortFailed: () => localFailed.inc(),
      userspace(of) {
        held.from(of.held);
        failing.from(of.failing);
        carried.from(of.carried);
      },
      cleaned(seconds, deleted) {
        cleaning.observe(seconds);
        cleaned.inc(deleted);
      },
    },
    serviceChanged() {
      changes.service.inc();
      pending.service++;
    },
    sliceChanged() {
      changes.slice.inc();
      pending.slice++;
    },
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
    queued(done) {
      lastQueued.set(clock.now() / 1000);
      const seen = { ...pending };
      done?.then(
        () => {
          // What came since then waits on; several of these may settle together.
          pending.service = Math.max(0, pending.service - seen.service);
          pending.slice = Math.max(0, pending.slice - seen.slice);
        },
        () => {},
      );
    },
    planned(key, plan) {
      const counts = { internal: 0, external: 0 };
      for (const port of plan?.ports ?? []) {
        if (port.local.endpoints.length > 0 || port.cluster.endpoints.length === 0) continue;
        const local = port.frontends.filter(({ policy }) => policy === "Local");
        if (local.some(({ kind }) => kind === "ClusterIP")) counts.internal++;
        if (local.some(({ kind }) => kind !== "ClusterIP")) counts.external++;
      }
      for (const policy of ["internal", "external"] as const) {
        if (counts[policy] > 0) withoutLocal[policy].set(key, counts[policy]);
        else withoutLocal[policy].delete(key);
      }
    },
    draining(left) {
      gauge("fairlead_proxy_draining_endpoints", "Endpoints that were taken out and have TCP connections left.").from(
        async () => (await left()).length,
      );
      gauge("fairlead_proxy_draining_connections", "TCP connections left to endpoints that were taken out.").from(
        async () => (await left()).reduce((sum, { connections }) => sum + connections, 0),
      );
    },
    answered: (path, code) => answers[path](String(code)).inc(),
  };
}

function triggerOf(slice: EndpointSlice | undefined): string | undefined {
  return slice?.metadata.annotations?.[triggerAnnotation];
}

/** The same program, each transaction of which is told. */
export function told(program: Program, syncs: Syncs, mode: ProxyMode): Program {
  return {
    ...program,
    async apply(transaction) {
      const begun = performance.now();
      try {
        const refused = await program.apply(transaction);
        syncs.done((performance.now() - begun) / 1000, transaction.reset);
        return refused;
      } catch (error) {
        syncs.failed(mode, transaction.reset);
        throw error;
      }
    },
  };
}
