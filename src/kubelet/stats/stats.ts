import { cpus, totalmem } from "node:os";
import type { Pod } from "../../kube/index.ts";
import type { Clock } from "../../system/index.ts";
import type { ContainerUsage, Runtime } from "../runtime/runtime.ts";
import { containerFigures } from "./container-figures.ts";
import { readMachineUsage } from "./processes.ts";

/** The kubelet's figures of its node and pods, as its `/stats/summary` and `/metrics/resource` have them. */
export interface Stats {
  /** The Summary API (k8s.io/kubelet, stats/v1alpha1). */
  summary(): Promise<object>;
  /** Prometheus text with the names of KEP-1748. */
  resourceMetrics(): Promise<string>;
  /** Prometheus text with cAdvisor's names: what rules and dashboards of users ask for. */
  containerMetrics(): Promise<string>;
}

export interface StatsOptions {
  readonly nodeName: string;
  readonly runtime: Pick<Runtime, "stats" | "list">;
  readonly pods: () => readonly Pod[];
  readonly clock: Clock;
  readonly machine?: typeof readMachineUsage;
}

/** Milliseconds that a rate is taken over at least, and at most. */
const shortest = 1_000;
const longest = 60_000;

interface Sample {
  readonly at: number;
  readonly machine: ReturnType<typeof readMachineUsage>;
  readonly containers: ReadonlyMap<string, ContainerUsage>;
}

const unused = (id: string): ContainerUsage => ({ id, cpu: 0, memory: 0, anonymous: 0, processes: 0, threads: 0 });

/** Looks when it is asked; the first to ask after a while waits for a second look, since a rate needs two. */
export function createStats({ nodeName, runtime, pods, clock, machine = readMachineUsage }: StatsOptions): Stats {
  let before: Sample | undefined;
  let now: Sample | undefined;
  let looking: Promise<{ before: Sample; now: Sample }> | undefined;
  const startTime = new Date(clock.now()).toISOString();

  const look = async (): Promise<Sample> => {
    const containers = await runtime.stats();
    return { at: clock.now(), machine: machine(), containers: new Map(containers.map((one) => [one.id, one])) };
  };
  const lookTwice = async (): Promise<{ before: Sample; now: Sample }> => {
    const age = now ? clock.now() - now.at : Infinity;
    if (before && now && age < shortest) return { before, now };
    if (!now || age > longest) {
      now = await look();
      await clock.sleep(shortest);
    }
    before = now;
    now = await look();
    return { before, now };
  };
  const samples = (): Promise<{ before: Sample; now: Sample }> =>
    (looking ??= lookTwice().finally(() => (looking = undefined)));

  const figures = async () => {
    const { before, now } = await samples();
    const rate = (from: number | undefined, to: number): number =>
      from === undefined ? 0 : Math.max(0, Math.round(((to - from) / (now.at - before.at)) * 1000));
    const time = new Date(now.at).toISOString();
    const amounts = (cpu: number, nanoCores: number, memory: number) => ({
      cpu: { time, usageNanoCores: nanoCores, usageCoreNanoSeconds: cpu },
      memory: { time, usageBytes: memory, workingSetBytes: memory, rssBytes: memory },
    });
    const { containers } = await runtime.list();
    const running = containers.filter(({ state, id }) => state === "running" && now.containers.has(id));
    const all = pods().flatMap((pod) => {
      const own = running
        .filter(({ podUid }) => podUid === pod.metadata.uid)
        .map((record) => {
          const usage = now.containers.get(record.id) ?? unused(record.id);
          const nanoCores = rate(before.containers.get(record.id)?.cpu, usage.cpu);
          return { name: record.name, startedAt: record.startedAt ?? record.createdAt, ...usage, nanoCores, record };
        });
      if (own.length === 0) return [];
      const sum = (of: (one: (typeof own)[number]) => number): number => own.reduce((total, one) => total + of(one), 0);
      const { name, namespace = "", uid = "" } = pod.metadata;
      const total = amounts(
        sum(({ cpu }) => cpu),
        sum(({ nanoCores }) => nanoCores),
        sum(({ memory }) => memory),
      );
      return [{ pod, ref: { name, namespace, uid }, own, total }];
    });
    const node = amounts(now.machine.cpu, rate(before.machine.cpu, now.machine.cpu), now.machine.memory);
    return { now, node, all, amounts };
  };

  return {
    async summary() {
      const { now, node, all, amounts } = await figures();
      return {
        node: {
          nodeName,
          startTime,
          cpu: node.cpu,
          memory: { ...node.memory, availableBytes: now.machine.available },
        },
        pods: all.map(({ pod, ref, own, total }) => ({
          podRef: ref,
          startTime: pod.status?.startTime ?? startTime,
          containers: own.map(({ name, startedAt, cpu, nanoCores, memory }) => ({
            name,
            startTime: new Date(startedAt).toISOString(),
            ...amounts(cpu, nanoCores, memory),
          })),
          ...total,
        })),
      };
    },
    async containerMetrics() {
      const { now, all } = await figures();
      const machineUsage = { ...now.machine, cpus: cpus().length, total: totalmem() };
      return containerFigures(all, machineUsage, now.at);
    },
    async resourceMetrics() {
      const { now, node, all } = await figures();
      const lines: string[] = [];
      const family = (name: string, type: string, help: string, rows: readonly (readonly [string, number])[]): void => {
        lines.push(`# HELP ${name} [STABLE] ${help}`, `# TYPE ${name} ${type}`);
        for (const [labels, value] of rows) lines.push(`${name}${labels} ${value} ${now.at}`);
      };
      const containers = all.flatMap(({ ref, own }) =>
        own.map((one) => [`{container="${one.name}",namespace="${ref.namespace}",pod="${ref.name}"}`, one] as const),
      );
      const podRows = all.map(({ ref, total }) => [`{namespace="${ref.namespace}",pod="${ref.name}"}`, total] as const);
      const seconds = (nanoseconds: number): number => nanoseconds / 1e9;
      family(
        "container_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed by the container in core-seconds",
        containers.map(([labels, { cpu }]) => [labels, seconds(cpu)]),
      );
      family(
        "container_memory_working_set_bytes",
        "gauge",
        "Current working set of the container in bytes",
        containers.map(([labels, { memory }]) => [labels, memory]),
      );
      family(
        "container_start_time_seconds",
        "gauge",
        "Start time of the container since unix epoch in seconds",
        containers.map(([labels, { startedAt }]) => [labels, startedAt / 1000]),
      );
      family("node_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the node in core-seconds", [
        ["", seconds(node.cpu.usageCoreNanoSeconds)],
      ]);
      family("node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes", [
        ["", node.memory.workingSetBytes],
      ]);
      family(
        "pod_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed by the pod in core-seconds",
        podRows.map(([labels, { cpu }]) => [labels, seconds(cpu.usageCoreNanoSeconds)]),
      );
      family(
        "pod_memory_working_set_bytes",
        "gauge",
        "Current working set of the pod in bytes",
        podRows.map(([labels, { memory }]) => [labels, memory.workingSetBytes]),
      );
      lines.push(
        "# HELP resource_scrape_error [STABLE] 1 if there was an error while getting container metrics, 0 otherwise",
        "# TYPE resource_scrape_error gauge",
        "resource_scrape_error 0",
        "",
      );
      return lines.join("\n");
    },
  };
}
